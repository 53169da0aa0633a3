package view

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"time"
)

// How much is searched.
const (
	defaultLimit  = 50
	maxLimit      = 1000
	defaultBudget = 200 * time.Millisecond

	firstWindow = 200    // rows
	maxWindow   = 50_000 // rows
	whole       = math.MaxInt32
)

func (p Page) limit() int {
	if p.Limit <= 0 {
		return defaultLimit
	}
	return min(p.Limit, maxLimit)
}

func (p Page) budget() time.Duration {
	if p.Budget <= 0 {
		return defaultBudget
	}
	return p.Budget
}

// source is where rows come from, as a search sees it.
type source[T any] struct {
	// window returns the time of the n-th row behind c, or ErrNoRows if there are fewer.
	window func(ctx context.Context, c Cursor, low int64, n int) (int64, error)
	// rows returns at most n rows behind c that are wanted, down to the time low.
	rows   func(ctx context.Context, c Cursor, low int64, n int) ([]T, error)
	cursor func(*T) Cursor
}

// search looks for a page of rows from the cursor at down to the time low, in windows of
// rows. A window is the larger the faster the last one was searched, so that the time
// for the last is not overdrawn by much; its end is a time, so that what is left out is
// known. narrow tells whether rows may be passed over at all.
func search[T any](ctx context.Context, src source[T], p Page, at Cursor, low int64, narrow bool) (List[T], error) {
	list := List[T]{Rows: []T{}}
	limit, begun := p.limit(), time.Now()
	n := firstWindow
	if !narrow {
		n = whole
	}
	for {
		end, last := low, true
		if n != whole {
			var err error
			switch end, err = src.window(ctx, at, low, n); {
			case errors.Is(err, sql.ErrNoRows):
				end = low
			case err != nil:
				return list, err
			default:
				last = false
			}
		}
		// One more than fits, which tells whether there is more.
		want := limit - len(list.Rows) + 1
		started := time.Now()
		rows, err := src.rows(ctx, at, end, want)
		if err != nil {
			return list, err
		}
		list.Rows = append(list.Rows, rows...)
		if len(list.Rows) > limit {
			list.Rows = list.Rows[:limit]
			next := src.cursor(&list.Rows[limit-1])
			list.Next = &next
			return list, nil
		}
		if last {
			return list, nil
		}
		at = Cursor{At: end} // behind all rows of that time
		left := p.budget() - time.Since(begun)
		if left <= 0 {
			list.Next, list.SearchedTo = &at, &end
			return list, nil
		}
		n = nextWindow(n, time.Since(started), left)
	}
}

// nextWindow returns how many rows can be searched in half of the time that is left.
func nextWindow(n int, took, left time.Duration) int {
	fits := float64(n) * float64(left) / 2 / float64(max(took, time.Microsecond))
	return int(min(max(fits, firstWindow/4), float64(4*n), maxWindow))
}
