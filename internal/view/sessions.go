package view

import "context"

// Session is a session as a whole, or the part of it in a time range.
type Session struct {
	ID      string
	Agent   *string
	FirstAt int64 // of the whole session
	LastAt  int64
	Sums    Sums // of the whole session
	InRange *Sums
}

// Sessions lists the sessions with calls in f's range, by their last call.
func (v *View) Sessions(ctx context.Context, f Filter, p Page) (List[Session], error) {
	return List[Session]{}, nil
}

// TopSessions are the sessions that cost most in a time range.
type TopSessions struct {
	Rows []Session // InRange is set
	// SearchedTo is set when the time was up: what InRange says of sessions that began
	// before the range lacks their older calls.
	SearchedTo *int64
}

// TopSessions returns the n sessions that cost most in f's range.
func (v *View) TopSessions(ctx context.Context, f Filter, n int) (*TopSessions, error) {
	return &TopSessions{}, nil
}

// Session returns one session. Its calls are listed by Calls.
func (v *View) Session(ctx context.Context, id string) (*Session, error) { return nil, ErrNotFound }
