package push

import (
	"net/http"
	"time"
)

// Judge returns what an answer means: its outcome by name, the wait, and the reason.
func Judge(answer *http.Response, body []byte, now time.Time) (string, time.Duration, string) {
	v := judge(answer, body, now)
	return [...]string{"delivered", "retry", "refused", "rejected"}[v.outcome], v.after, v.reason
}
