package dashboard

import (
	"context"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/view"
)

// read runs f on a View of the database.
func read(ctx context.Context, st *store.Store, f func(*view.View) error) error {
	return st.Read(ctx, func(q *db.Queries) error { return f(view.New(q)) })
}
