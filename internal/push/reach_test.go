package push_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/push"
)

// Reach asks for a sign of life, and gives away neither an event nor a secret.
func TestReach(t *testing.T) {
	var asked []*http.Request
	remote := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r)
		if r.URL.Path == "/moved" {
			http.Redirect(w, r, "/in", http.StatusFound)
			return
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
	}))
	u, err := url.Parse(remote.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User, u.Path, u.RawQuery = url.UserPassword("user", "word"), "/in", "key=secret"
	o := push.Options{Endpoint: u.String(), Timeout: time.Minute, Token: "the-token", Headers: map[string]string{"X-Key": "secret"}}
	status, date, err := push.Reach(t.Context(), o)
	if err != nil || status != http.StatusMethodNotAllowed || date.IsZero() {
		t.Fatalf("%d %v %v", status, date, err)
	}
	if len(asked) != 1 {
		t.Fatalf("%d requests", len(asked))
	}
	r := asked[0]
	if r.Method != "HEAD" || r.URL.String() != "/in" || r.ContentLength != 0 || r.Header.Get("Authorization") != "" || r.Header.Get("X-Key") != "" {
		t.Errorf("%s %s %d %v", r.Method, r.URL, r.ContentLength, r.Header)
	}
	o.Endpoint = remote.URL + "/moved"
	if status, _, err := push.Reach(t.Context(), o); err != nil || status != http.StatusFound {
		t.Errorf("a redirect: %d %v", status, err)
	}
	remote.Close()
	if _, _, err := push.Reach(t.Context(), o); err == nil || err.Error() != "the connection was refused" {
		t.Errorf("nobody there: %v", err)
	}
}
