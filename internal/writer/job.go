package writer

import (
	"context"
	"slices"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
)

// Tx is what a job works with. It ends with the job.
type Tx struct {
	*db.Queries
	w          *Writer
	summarized bool
}

// Count adds n of e to the ledger, in the job's transaction.
func (tx *Tx) Count(e Entry, n int64) { tx.w.delta.Add(e, n) }

// Pages counts the pages of the database, with what the job has done so far.
func (tx *Tx) Pages() (store.Pages, error) { return tx.w.st.Pages() }

// GiveBack takes up to n free pages out of the database.
func (tx *Tx) GiveBack(n int64) error { return tx.w.st.GiveBack(n) }

// CopyBack has the log copied into the database after the job's commit, which is when
// the file gets shorter.
func (tx *Tx) CopyBack() { tx.w.st.CopyBack() }

// Waiting tells whether batches wait for the job to end.
func (tx *Tx) Waiting() bool { return tx.w.Depth() > 0 }

// summarize brings the tables usage, latency and sessions up to the last call stored.
func (tx *Tx) summarize() error {
	if tx.summarized {
		return nil
	}
	tx.summarized = true
	return tx.w.summary.write(context.Background(), tx.Queries, tx.w.last.LLMTrace)
}

type job struct {
	do      func(*Tx) error
	secure  bool // overwrite on the disk what it replaces
	rewrite bool // instead of do: make the file anew
	then    func(error)

	err  error
	done chan struct{} // holds one token
}

// Do runs a small piece of other work than storing events, in a transaction of its
// own: all of it is done, or nothing. Batches go first; between two groups of them
// there is one job at a time, which should take no more than about 20 ms. do returns
// errors of the database only. Do returns ctx's error if that ends before the job has
// begun, and ErrClosed once the writer is closed.
func (w *Writer) Do(ctx context.Context, do func(*Tx) error) error {
	return w.do(ctx, &job{do: do})
}

// Erase is Do for what is to leave nothing behind: what do deletes or replaces is
// overwritten on the disk. Remains of earlier versions of a row may lie elsewhere in the
// file; they go with the next Scrub, which a call of Erase makes due.
func (w *Writer) Erase(ctx context.Context, do func(*Tx) error) error {
	return w.do(ctx, &job{secure: true, do: func(tx *Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return tx.SetMeta(context.Background(), db.SetMetaParams{Key: metaReplaced, Value: "1"})
	}})
}

func (w *Writer) do(ctx context.Context, j *job) error {
	j.done = make(chan struct{}, 1)
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return ErrClosed
	}
	w.jobs = append(w.jobs, j)
	w.mu.Unlock()
	w.signal()
	select {
	case <-j.done:
		return j.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	i := slices.Index(w.jobs, j)
	if i >= 0 {
		w.jobs = slices.Delete(w.jobs, i, i+1)
	}
	w.mu.Unlock()
	if i >= 0 {
		return ctx.Err()
	}
	<-j.done
	return j.err
}

// nextJob takes the job whose turn it is, or nil.
func (w *Writer) nextJob() *job {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.jobs) == 0 {
		return nil
	}
	j := w.jobs[0]
	w.jobs = slices.Delete(w.jobs, 0, 1)
	return j
}

// run does j and answers it. It returns only a Fatal error.
func (j *job) run(w *Writer) error {
	defer w.reset()
	tx := &Tx{w: w}
	w.working.Store(time.Now().UnixMilli())
	err := j.transact(w, tx)
	if err == nil {
		err = w.st.Check()
	}
	w.working.Store(0)
	if j.secure || tx.summarized {
		w.revision.Add(1) // only now: who reads it before a commit may still read rows of before
	}
	switch {
	case j.rewrite && store.Classify(err) != store.Fatal: // the file takes rows all the same
	case err == nil && (w.st.Full() || w.st.Held() || w.crowd.refusing): // but rows are not stored
	default:
		w.report(err)
	}
	if w.unsynced.IsZero() {
		w.unsynced = time.Now()
	}
	if err == nil {
		if tx.summarized {
			w.summary.reset()
		}
		w.publish()
	}
	w.measure() // who deletes is to know how long the log has become
	if j.then != nil {
		j.then(err)
	}
	j.err = err
	j.done <- struct{}{}
	if store.Classify(err) == store.Fatal {
		return err
	}
	return nil
}

func (j *job) transact(w *Writer, tx *Tx) error {
	if j.rewrite {
		return w.st.Rewrite()
	}
	run := w.st.LastTx
	if j.secure {
		run = w.st.SecureTx
	}
	return run(func(q *db.Queries) error {
		tx.Queries = q
		if err := j.do(tx); err != nil {
			return err
		}
		return w.writeDelta(context.Background(), q)
	})
}
