package janitor

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// keepTexts is how many of the newest calls keep their texts while anything else but
// errors can go. Without them a full database would have numbers of the last month and
// nothing of what was said just now.
const keepTexts = 1000

// logBytes is what the log of the database takes, written over from its start again and
// again: its pages, each with a header, and what the last transaction adds before the log
// is copied.
const logBytes = store.CheckpointPages*(store.PageSize+24) + 2<<20

// limit is how large the database may be without its log. A budget too small for a log
// leaves half of itself.
func (o *Options) limit() int64 { return max(o.MaxDBBytes-logBytes, o.MaxDBBytes/2) }

// Between looks the database may grow by a sixteenth of the limit. What is deleted down
// to makes room for as much again, so that not every look finds something to do.
func (o *Options) high() int64 { return o.limit() - o.limit()/16 }
func (o *Options) low() int64  { return o.limit() - o.limit()/8 }

// most is where a database of so many bytes grows no further, however fast rows come in:
// they wait then. On a volume that is too full it may grow to the floor, or to what leaves
// room where goal sees no reason to delete.
func (j *Janitor) most(bytes int64) int64 {
	most := j.opts.limit() + writer.LeastRoom
	if free, err := j.opts.Free(j.st.Path()); err == nil && j.st.Shrinks() {
		floor := max(j.opts.floor(), j.opts.floor()-j.opts.spare()/2+writer.LeastRoom)
		most = min(most, max(bytes+free-j.opts.MinFreeBytes+writer.LeastRoom, floor))
	}
	return most
}

// floor is how far the file is made smaller because the volume is full.
func (o *Options) floor() int64 { return o.MaxDBBytes / 8 }

// size is what the database takes.
type size struct {
	bytes int64 // of the file once the log is copied into it
	live  int64 // of them, those that hold something
	free  int64 // that may be written to the volume, once the log is copied
}

func sizeOf(p store.Pages, free int64) size {
	return size{p.All * store.PageSize, (p.All - p.Free) * store.PageSize, free}
}

// spare is how much of a database at the floor is left free for new rows: on a volume
// that others keep full, it is all the room there is.
func (o *Options) spare() int64 { return min(o.floor()/2, logBytes) }

func (p *pass) size() (size, error) {
	pages, err := p.st.ReadPages(p.ctx)
	if err != nil {
		return size{}, fmt.Errorf("look at the size: %w", err)
	}
	free, err := p.opts.Free(p.st.Path())
	if err != nil {
		return size{}, fmt.Errorf("look at the volume: %w", err)
	}
	s := sizeOf(pages, free)
	if file, _ := p.st.Sizes(); file < s.bytes {
		s.free -= s.bytes - file
	}
	return s, nil
}

// lack is how much more should be free on the volume: once it is too little, a bit more
// than that, so that not every look finds something to do.
func (p *pass) lack(s size) int64 {
	least := p.opts.MinFreeBytes
	if p.st.Full() {
		least = max(least, 4<<20)
	}
	if s.free >= least || !p.st.Shrinks() {
		return 0
	}
	return least + least/16 - s.free
}

// fileGoal returns how large the file may be for the volume's sake.
func (p *pass) fileGoal(s size) int64 {
	if lack := p.lack(s); lack > 0 {
		return min(s.bytes, max(s.bytes-lack, p.opts.floor()))
	}
	return s.bytes
}

// goal returns down to how many bytes rows have to go, and why.
func (p *pass) goal(s size) (bytes int64, reason string) {
	bytes = s.live
	if s.live > p.opts.high() {
		bytes, reason = p.opts.low(), ByBudget
	}
	if p.lack(s) <= 0 {
		return bytes, reason
	}
	// Free pages are given back before any row goes.
	file, floor, spare := p.fileGoal(s), p.opts.floor(), p.opts.spare()
	switch {
	case file > floor && file < bytes:
		return file, BySpace
	case file <= floor && floor-spare < bytes && s.live > floor-spare/2:
		return floor - spare, BySpace
	}
	return bytes, reason
}

// bySize makes the database fit its budget and the volume.
func (p *pass) bySize() error {
	p.sizing = true
	defer func() { p.sizing, p.urgent = false, false }()
	for {
		p.again = false
		s, err := p.fit()
		if err != nil {
			return err
		}
		if !p.again || !p.hurry(s.live) {
			p.judge(s)
			return nil
		}
	}
}

// fit does once what bySize does.
func (p *pass) fit() (size, error) {
	p.exhausted = false
	s, err := p.size()
	if err != nil {
		return s, err
	}
	p.urgent = p.hurry(s.live)
	if goal, reason := p.goal(s); reason != "" {
		if err := p.shrink(goal, reason); err != nil {
			return s, err
		}
		if s, err = p.size(); err != nil {
			return s, err
		}
	}
	p.urgent = p.hurry(s.bytes - p.opts.limit()/8)
	if s.bytes > s.live && p.st.Shrinks() && (s.bytes > p.opts.limit() || s.bytes > p.fileGoal(s)) {
		if err := p.giveBack(s); err != nil {
			return s, err
		}
		return p.size()
	}
	return s, nil
}

// judge says what is still not as it should be.
func (p *pass) judge(s size) {
	const mib = 1 << 20
	large, full := s.bytes-p.opts.limit(), p.opts.MinFreeBytes-s.free
	p.over = max(large, full)
	switch {
	case large > 0 && !p.st.Shrinks():
		p.problem = fmt.Sprintf("the database has %d MiB and cannot be made smaller, because it was created without auto_vacuum; %d MiB in it are free and will be used again",
			s.bytes/mib, (s.bytes-s.live)/mib)
	case p.exhausted && s.live > p.opts.limit():
		p.problem = fmt.Sprintf("the database has %d MiB of sums and books, which are not deleted; OCT_MAX_DB_BYTES is too small", s.live/mib)
	case full > 0 && !p.st.Shrinks():
		p.problem = fmt.Sprintf("the volume has %d MiB left, and the database cannot be made smaller, because it was created without auto_vacuum", max(s.free, 0)/mib)
	case full > 0 && s.bytes > p.opts.floor():
		p.problem = fmt.Sprintf("the volume has %d MiB left, less than OCT_MIN_FREE_BYTES", max(s.free, 0)/mib) // others were faster
	case full > 0:
		p.problem = fmt.Sprintf("the volume has %d MiB left, less than OCT_MIN_FREE_BYTES, because others fill it; the database has only %d MiB and is not made smaller",
			max(s.free, 0)/mib, s.bytes/mib)
	}
}

// shrink deletes until the rows take no more than goal.
func (p *pass) shrink(goal int64, reason string) error {
	old, err := p.oldCalls()
	if err != nil {
		return err
	}
	for _, do := range []func() (bool, error){
		func() (bool, error) { return p.oldest(goal, reason, 1, all, everything...) },
		func() (bool, error) { return p.oldest(goal, reason, 0, all, readings) },
		func() (bool, error) { return p.strip(goal, reason, &p.texts[0], old) },
		func() (bool, error) { return p.oldest(goal, reason, 0, old, calls, spans, events) },
		func() (bool, error) { return p.strip(goal, reason, &p.texts[1], all) },
		func() (bool, error) { return p.oldest(goal, reason, 0, all, calls, spans, events) },
		func() (bool, error) { return p.oldest(goal, reason, 0, all, failures) },
	} {
		if done, err := do(); done || err != nil {
			return err
		}
	}
	p.exhausted = true
	return nil
}

// oldCalls returns the id above which the newest calls are.
func (p *pass) oldCalls() (id int64, err error) {
	err = p.st.Read(p.ctx, func(q *db.Queries) error {
		id, err = none(q.CallFromEnd(p.ctx, keepTexts))
		return err
	})
	return id, err
}

// hurry tells whether deleting cannot wait: the rows take more than they may, or none can
// be stored.
func (p *pass) hurry(live int64) bool {
	return live > p.opts.limit() || p.w.Crowded() || p.w.Fault() != ""
}

// fits tells whether the rows take no more than goal.
func (p *pass) fits(tx *writer.Tx, goal int64) (bool, error) {
	pages, err := tx.Pages()
	live := sizeOf(pages, 0).live
	p.urgent = p.hurry(live)
	return live <= goal, err
}

// oldest deletes rows of kinds that are delivered or not, the oldest first give or take
// a statement's, until it fits or there are none. Calls have ids up to old.
func (p *pass) oldest(goal int64, reason string, synced, old int64, kinds ...*kind) (done bool, err error) {
	ctx := context.Background() // a job is not ended half-way
	err = p.jobs(reason, func(tx *writer.Tx, t *tally, lim int64) (n int64, more bool, err error) {
		if done, err = p.fits(tx, goal); done || err != nil {
			return 0, false, err
		}
		row, err := tx.OldestOf(ctx, synced)
		if err != nil {
			return 0, false, err
		}
		at := perKind(row)
		left := slices.Clone(kinds)
		for len(left) > 0 {
			k := slices.MinFunc(left, func(a, b *kind) int { return cmp.Compare(*a.of(&at), *b.of(&at)) })
			if *k.of(&at) == all {
				return 0, false, nil // none is left
			}
			r := rows{synced, all, all, lim}
			if k == calls {
				r.upto = old
			}
			if n, err = p.take(tx, t, k, r, reason); n > 0 || err != nil {
				return n, true, err
			}
			left = slices.DeleteFunc(left, func(o *kind) bool { return o == k })
		}
		return 0, false, nil
	})
	return done, err
}

// cursor is the place of a call in the order of time.
type cursor struct{ at, id int64 }

// minText is how long a call's texts have to be to be cut away: the note that they were
// takes room as well.
const minText = 256

// strip cuts away the texts of the oldest calls from c on with ids up to old, until it
// fits or there are none.
func (p *pass) strip(goal int64, reason string, c *cursor, old int64) (done bool, err error) {
	ctx := context.Background() // a job is not ended half-way
	reached := *c
	err = p.jobs(reason, func(tx *writer.Tx, t *tally, lim int64) (n int64, more bool, err error) {
		t.committed = func() { *c = reached }
		if done, err = p.fits(tx, goal); done || err != nil {
			return 0, false, err
		}
		list, err := tx.ListTexts(ctx, db.ListTextsParams{At: reached.at, ID: reached.id, Upto: old, Lim: lim})
		if err != nil {
			return 0, false, err
		}
		var cut int64
		for _, call := range list {
			reached = cursor{call.CreatedAt, call.ID}
			if call.Bytes < minText {
				continue
			}
			changed, err := tx.DropTexts(ctx, db.DropTextsParams{ID: call.ID, Reason: reason})
			if err != nil {
				return 0, false, err
			}
			cut += changed
		}
		t.texts += cut
		tx.Count(writer.Entry{Kind: writer.KindCall, Outcome: writer.Stripped, Reason: reason}, cut)
		return int64(len(list)), int64(len(list)) == lim, nil
	})
	return done, err
}

// giveBack takes free pages out of the database, as many as make it fit, and has the file
// cut short. Pages from its end are moved into the gaps, which is work.
func (p *pass) giveBack(s size) error {
	want := s.bytes - min(p.opts.limit(), p.fileGoal(s))
	left := min(want, s.bytes-s.live)/store.PageSize + 1
	return p.jobs("", func(tx *writer.Tx, _ *tally, lim int64) (int64, bool, error) {
		pages, err := tx.Pages()
		if err != nil {
			return 0, false, err
		}
		n := min(lim, left, pages.Free)
		left -= n
		more := left > 0 && pages.Free > n
		if !more {
			tx.CopyBack()
		}
		if n == 0 {
			return 0, false, nil
		}
		return n, more, tx.GiveBack(n)
	})
}
