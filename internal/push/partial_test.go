package push_test

import (
	"encoding/binary"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/push"
)

// partialSuccess is the answer of an OTLP receiver that rejects n items.
func partialSuccess(n byte, message string) []byte {
	inner := append([]byte{1<<3 | 0, n, 2<<3 | 2}, binary.AppendUvarint(nil, uint64(len(message)))...)
	inner = append(inner, message...)
	return append(append([]byte{1<<3 | 2}, binary.AppendUvarint(nil, uint64(len(inner)))...), inner...)
}

// What a remote says with a partial success is kept in short, and the reason is never
// empty.
func TestPartialSuccessReason(t *testing.T) {
	for message, want := range map[string]string{
		strings.Repeat("no such field\n", 4000): "1 rejected (partial success): no such field no such",
		"":                                      "1 rejected (partial success)",
	} {
		synctest.Test(t, func(t *testing.T) {
			x := newWorld(t, func(o *push.Options) { o.Format = "otlp" })
			defer x.close()
			x.answers(func(w http.ResponseWriter, _ *sent) { w.Write(partialSuccess(1, message)) })
			x.calls(0, 1)
			if r, err := x.p.Now(t.Context()); err != nil || r.Quarantined != 1 {
				t.Errorf("%+v, %v", r, err)
			}
			err := x.st.Read(t.Context(), func(q *db.Queries) error {
				list, err := push.InQuarantine(t.Context(), q)
				if len(list) != 1 || len(list[0].Reason) > 300 || !strings.Contains(list[0].Reason, want) {
					t.Errorf("%.400v", list)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}
