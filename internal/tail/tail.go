// Package tail follows the agent's log. Lines of WARN and above become error events, as
// the same lines would as OTLP log records; the others are counted, and a few kept as
// custom events if that is asked for.
//
// A file is its device, its inode and its beginning, since logs are renamed and inodes
// are used again. How far it was read is stored in the transaction of the rows that were
// made from it, so that after a crash no line is missing and none comes twice. Everything
// else is found out anew from the file: a position in the middle of a line means that the
// line is done with, and an event whose last lines are still to come is read again.
//
// What the agent sends over HTTP goes first. A flood of lines is cut to a burst and a
// trickle, and counted.
package tail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/store"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Options are the settings of a Tail.
type Options struct {
	Path       string        // a file; one with * or YYYY-MM-DD in its name; or Auto
	KeepEvents bool          // whether some lines below WARN become custom events
	MaxText    int           // bytes of a text that are kept
	Avoid      []os.FileInfo // what we write ourselves
	Log        *slog.Logger
}

// Auto stands for OpenClaw's own log.
const Auto = "auto"

const (
	pollEvery  = time.Second
	saveEvery  = 5 * time.Second  // positions of lines that made no rows
	closeAfter = 10 * time.Second // a file that is gone, once nothing comes any more
	partAfter  = 5 * time.Second  // what has no newline by then is a line
	twinAfter  = 10 * time.Second // when a line's OTLP record is not waited for any more

	maxFiles     = 16  // followed, the last written ones
	maxFirst     = 200 // at the very first start; of others only the size is known
	maxPositions = 10_000
	maxTwins     = 1000
	sweepEvery   = 24 * time.Hour
	forgetAfter  = 30 * 24 * time.Hour // a position of a file that is not there

	maxLine  = 64 << 10 // bytes; what is more is skipped
	maxChunk = 256 << 10
	maxStack = 16 << 10 // bytes of lines that belong to an event
	maxRows  = 500

	burst  = 1000 // events at once
	refill = 100  // events per second, after that

	lastLines = 50 // as many as who looks for the agent's last words wants
)

// Tail follows files. Its methods are safe for concurrent use.
type Tail struct {
	st      *store.Store
	w       *writer.Writer
	opts    Options
	pattern string
	cancel  context.CancelFunc
	done    chan struct{} // closed when run has ended

	mu     sync.Mutex
	status Status

	// What follows belongs to the goroutine.
	files   map[fileID]*file
	ignored map[fileID]os.FileInfo // archives and what we write ourselves, as they were
	known   map[fileID]db.LogPosition
	first   bool // nothing of the pattern was followed before
	batch   *writer.Batch
	moved   map[fileID]bool // files whose position is to be stored
	saved   time.Time
	swept   time.Time
	tokens  float64
	filled  time.Time      // when tokens was counted
	twins   map[int64]bool // rows that were found to be lines
	buf     []byte
	told    string // the last fault that was logged
	lost    bool   // rows could not be stored before we had to end: the positions behind them are not to be
}

// Status says how the following goes.
type Status struct {
	Path       string // of the file that was written last; "" while there is none
	Files      int    // open
	Behind     int64  // bytes of them that were not read yet
	Lines      int64  // read since New
	Events     int64  // made of them
	Twins      int64  // lines that had come by OTLP
	Refused    int64  // events of floods
	LastLineAt int64  // Unix ms; 0 for never
	Reason     string // why nothing is read, in plain words; "" if all is well
}

// Validate returns an error that names the setting at fault.
func (o *Options) Validate() error {
	if _, err := filepath.Match(patternOf(o.Path), ""); err != nil {
		return fmt.Errorf("OCT_LOG_PATH: %q is no pattern: %w", o.Path, err)
	}
	return nil
}

// New starts following. st and w have to outlive the Tail.
func New(ctx context.Context, st *store.Store, w *writer.Writer, opts Options) (*Tail, error) {
	t := &Tail{
		st: st, w: w, opts: opts, pattern: patternOf(opts.Path), done: make(chan struct{}),
		files: make(map[fileID]*file), ignored: make(map[fileID]os.FileInfo), known: make(map[fileID]db.LogPosition),
		first: true, batch: new(writer.Batch), moved: make(map[fileID]bool), tokens: burst, twins: make(map[int64]bool),
	}
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	var rows []db.LogPosition
	err := st.Read(ctx, func(q *db.Queries) (err error) {
		rows, err = q.ListLogPositions(ctx, 2*maxPositions)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read how far the log was read: %w", err)
	}
	for _, row := range rows {
		if (fileID{row.Device, row.Inode}) != (fileID{}) {
			t.known[fileID{row.Device, row.Inode}] = row
		} else if row.Path == t.pattern {
			t.first = false
		}
	}
	run, cancel := context.WithCancel(context.WithoutCancel(ctx))
	t.cancel = cancel
	go t.run(run)
	return t, nil
}

// Status returns how the following goes.
func (t *Tail) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}

// Close stores the positions, for which the writer has to be open, and ends; it does not
// wait for a database that takes nothing. It fails only when ctx ends; the goroutine then
// ends when the disk answers.
func (t *Tail) Close(ctx context.Context) error {
	t.cancel()
	select {
	case <-t.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("following the log did not end: %w", ctx.Err())
	}
}

func (t *Tail) run(ctx context.Context) {
	defer close(t.done)
	defer func() {
		for _, f := range t.files {
			f.Close()
		}
	}()
	ticker := time.NewTicker(pollEvery)
	defer ticker.Stop()
	for {
		for t.step(ctx, time.Now()) && ctx.Err() == nil {
		}
		select {
		case <-ctx.Done():
			t.save(ctx, time.Now()) // which tries once; without it lines that made no rows are read again
			return
		case <-ticker.C:
		}
	}
}

// step looks for files and reads on in each until all is read, or it is time to look
// again. It tells whether there is more to read.
func (t *Tail) step(ctx context.Context, now time.Time) (more bool) {
	if t.swept.IsZero() || now.Sub(t.swept) >= sweepEvery {
		t.swept = now
		t.catchUp(ctx, now)
	}
	reason := t.look(ctx, now)
	for more = true; more && ctx.Err() == nil && time.Since(now) < pollEvery; {
		var err error
		if more, err = t.readAll(ctx, now); err != nil {
			reason = err.Error()
		}
	}
	t.fault(reason)
	if ctx.Err() == nil && now.Sub(t.saved) >= saveEvery {
		t.save(ctx, now)
	}
	return more
}

// readAll reads on in each file, and tells whether there is more to read.
func (t *Tail) readAll(ctx context.Context, now time.Time) (more bool, fault error) {
	behind := int64(0)
	for _, f := range slices.SortedFunc(maps.Values(t.files), func(a, b *file) int { return a.changed.Compare(b.changed) }) {
		if ctx.Err() != nil {
			return false, fault
		}
		m, err := t.read(ctx, f, now)
		if err != nil {
			fault = err
		}
		more = more || m
		behind += max(0, f.size-f.pos)
		if !f.present && !m && now.Sub(f.grown) >= closeAfter {
			t.store(ctx, now)
			t.drop(f, now)
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Files, t.status.Behind = len(t.files), behind
	return more, fault
}

// drop stops following f. Its position stays in the database.
func (t *Tail) drop(f *file, now time.Time) {
	t.known[f.id] = f.row(now.UnixMilli())
	f.Close()
	delete(t.files, f.id)
}

// look finds the files to follow. It tells why one of them cannot be, if so.
func (t *Tail) look(ctx context.Context, now time.Time) (reason string) {
	type found struct {
		path string
		info os.FileInfo
		id   fileID
	}
	var all []*found
	auto := t.opts.Path == Auto
	paths, _ := filepath.Glob(t.pattern) // New has tried the pattern
	for _, path := range paths {
		info, err := stat(path, auto)
		if err != nil {
			reason = err.Error()
			continue
		}
		id := idOf(info)
		seen := t.ignored[id]
		if slices.ContainsFunc(t.opts.Avoid, func(own os.FileInfo) bool { return os.SameFile(own, info) }) {
			if seen == nil {
				t.opts.Log.Warn("this file is our own log and is not followed", "path", path)
			}
			t.ignored[id] = info
			continue
		}
		if seen != nil && seen.Size() == info.Size() && seen.ModTime().Equal(info.ModTime()) {
			continue
		}
		delete(t.ignored, id) // it is another file by now, or is written still
		all = append(all, &found{path, info, id})
	}
	slices.SortFunc(all, func(a, b *found) int { return b.info.ModTime().Compare(a.info.ModTime()) })
	limit := min(len(all), maxFiles)
	if t.first {
		limit = min(len(all), maxFirst) // so that their beginnings are known
		for _, one := range all[limit:min(len(all), maxPositions)] {
			row := (&file{id: one.id, path: one.path, head: hashOf(nil), pos: one.info.Size()}).row(now.UnixMilli())
			t.known[one.id] = row
			t.batch.Positions = append(t.batch.Positions, db.SetLogPositionParams(row))
			if len(t.batch.Positions) >= maxRows {
				t.store(ctx, now)
			}
		}
	}
	all = all[:limit]
	for _, f := range t.files {
		f.present = false
	}
	newest := ""
	for _, one := range all {
		f := t.files[one.id]
		if f == nil {
			var err error
			if f, err = openFile(one.path, auto, now); err != nil {
				reason = err.Error()
				continue
			}
			if f.id != one.id { // since we looked
				f.Close()
				continue
			}
			if !t.begin(f) {
				f.Close()
				t.ignored[one.id] = one.info
				continue
			}
		}
		f.path, f.present = one.path, true
		newest = cmp.Or(newest, one.path)
	}
	if len(t.ignored) > maxPositions {
		clear(t.ignored)
	}
	if t.first {
		// From now on a file that appears is new, and read from its beginning.
		t.first = false
		t.batch.Positions = append(t.batch.Positions, db.SetLogPositionParams{Path: t.pattern, UpdatedAt: now.UnixMilli()})
		t.store(ctx, now)
	}
	switch {
	case newest != "" || reason != "":
	case len(paths) == 0:
		reason = "no file is called " + t.pattern
	default:
		reason = "what is called " + t.pattern + " is no log of the agent"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Path = newest
	return reason
}

// fault notes why nothing is read, and logs it once.
func (t *Tail) fault(reason string) {
	if reason != "" {
		reason = "OCT_LOG_PATH: " + reason
	}
	if reason != "" && reason != t.told {
		t.opts.Log.Warn("the agent's log", "reason", reason)
	}
	t.told = reason
	t.mu.Lock()
	t.status.Reason = reason
	t.mu.Unlock()
}

// begin finds where to begin in f, and follows it unless it is an archive.
func (t *Tail) begin(f *file) bool {
	row, isKnown := t.known[f.id]
	same := isKnown && f.size >= row.HeadBytes && f.hash(row.HeadBytes) == row.Head
	switch {
	case same && row.Position <= f.size:
		f.pos, f.headBytes, f.head = row.Position, row.HeadBytes, row.Head
	case same:
		// It was emptied, and began as before.
	case f.archive():
		return false
	case t.first, t.isCopy(f):
		f.pos = f.size
		t.moved[f.id] = true
	}
	f.learn()
	t.files[f.id] = f
	return true
}

// isCopy tells whether f begins as another file that was read this far: a copy that was
// made to empty the other. Two short files may say the same; of them a copy is what is
// equal and called after the other.
func (t *Tail) isCopy(f *file) bool {
	n := min(f.size, headBytes)
	if n == 0 {
		return false
	}
	head := f.hash(n)
	for _, other := range t.files {
		if other.id != f.id && other.headBytes == n && other.head == head && (n == headBytes || strings.HasPrefix(f.path, other.path)) {
			return true
		}
	}
	return false
}

// catchUp looks for files that were renamed while we were away, and follows them to
// their end. Positions of files that are gone are forgotten after a while.
func (t *Tail) catchUp(ctx context.Context, now time.Time) {
	dirs := make(map[string]bool)
	for _, row := range t.known {
		dirs[filepath.Dir(row.Path)] = true
	}
	there := make(map[fileID]bool)
	for dir := range dirs {
		d, err := os.Open(dir)
		if err != nil {
			continue
		}
		for {
			entries, err := d.ReadDir(1000) // what cannot be read is not there
			for _, e := range entries {
				t.catchUpWith(dir, e, there, now)
			}
			if err != nil {
				break
			}
		}
		d.Close()
	}
	t.forget(ctx, there, now)
}

// catchUpWith follows a file of dir if it was followed before, has grown since, and is
// not followed already.
func (t *Tail) catchUpWith(dir string, e os.DirEntry, there map[fileID]bool, now time.Time) {
	info, err := e.Info()
	if err != nil || !info.Mode().IsRegular() {
		return
	}
	id := idOf(info)
	row, ok := t.known[id]
	if !ok {
		return
	}
	there[id] = true
	if t.files[id] != nil || info.Size() <= row.Position {
		return
	}
	f, err := openFile(filepath.Join(dir, e.Name()), true, now)
	if err != nil {
		return
	}
	if f.id != id || f.size < row.HeadBytes || f.hash(row.HeadBytes) != row.Head {
		f.Close()
		return
	}
	f.pos, f.headBytes, f.head = row.Position, row.HeadBytes, row.Head
	t.files[id] = f
}

// forget deletes the positions of files that are not there any more: the old ones, and
// those above a number of them.
func (t *Tail) forget(ctx context.Context, there map[fileID]bool, now time.Time) {
	var gone []db.LogPosition
	for id, row := range t.known {
		if !there[id] && t.files[id] == nil {
			gone = append(gone, row)
		}
	}
	sort.Slice(gone, func(i, j int) bool { return gone[i].UpdatedAt > gone[j].UpdatedAt })
	kept, _ := slices.BinarySearchFunc(gone, now.Add(-forgetAfter).UnixMilli(), func(row db.LogPosition, old int64) int { return cmp.Compare(old, row.UpdatedAt) })
	gone = gone[min(kept, max(0, maxPositions-len(t.known)+len(gone))):]
	for some := range slices.Chunk(gone, maxRows) {
		err := t.w.Do(ctx, func(tx *writer.Tx) error {
			for _, row := range some {
				if err := tx.DeleteLogPosition(ctx, db.DeleteLogPositionParams{Device: row.Device, Inode: row.Inode}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if ctx.Err() == nil {
				t.opts.Log.Debug("forgetting positions of the log", "err", err)
			}
			return // until the next time
		}
		for _, row := range some {
			delete(t.known, fileID{row.Device, row.Inode})
		}
	}
}

// read reads on in f, at most one chunk. It tells whether there is more.
func (t *Tail) read(ctx context.Context, f *file, now time.Time) (more bool, err error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	changed := info.Size() != f.size || !info.ModTime().Equal(f.changed)
	f.size, f.changed = info.Size(), info.ModTime()
	if changed {
		f.grown = now
		if f.size < f.pos || !f.same() {
			t.opts.Log.Info("the agent's log was emptied and is read from its beginning", "path", f.path)
			f.pos = 0
			f.headBytes, f.head = 0, ""
			t.moved[f.id] = true
		}
		f.learn()
	}
	if f.pos == 0 && f.archive() { // of which nothing was written yet when it was found
		t.drop(f, now)
		t.ignored[f.id] = info
		return false, nil
	}
	if f.size <= f.pos {
		return false, nil
	}
	t.giveWay(ctx)
	if t.buf == nil {
		t.buf = make([]byte, maxChunk)
	}
	n, err := f.ReadAt(t.buf[:min(int64(maxChunk), f.size-f.pos)], f.pos)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	if n == 0 { // it was emptied just now
		return false, nil
	}
	end := f.pos+int64(n) >= f.size
	took := t.take(ctx, f, t.buf[:n], end, now)
	if took > 0 {
		f.pos += int64(took)
		t.moved[f.id] = true
	}
	full := t.rows() >= maxRows
	if t.rows() > 0 {
		t.store(ctx, now)
	}
	return full || took > 0 && !end, nil
}

// giveWay lets what came over HTTP go first, for a while.
func (t *Tail) giveWay(ctx context.Context) {
	for range 20 {
		if t.w.Depth() == 0 {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (t *Tail) rows() int { return len(t.batch.Errors) + len(t.batch.Events) }

// save stores positions that have no rows with them.
func (t *Tail) save(ctx context.Context, now time.Time) {
	t.saved = now
	if len(t.moved) > 0 && !t.lost {
		t.store(ctx, now)
	}
}

// store has the writer commit the rows with the positions behind them. It tries until
// that succeeds, or ctx ends: then nothing of it is stored, and all of it is read again.
// What the database will never take is left out.
func (t *Tail) store(ctx context.Context, now time.Time) {
	b := t.batch
	for id := range t.moved {
		if f := t.files[id]; f != nil {
			b.Positions = append(b.Positions, db.SetLogPositionParams(f.row(now.UnixMilli())))
		}
	}
	t.batch = new(writer.Batch)
	clear(t.moved)
	stored, err := len(b.Errors)+len(b.Events), t.submit(ctx, b)
	if errors.Is(err, writer.ErrRejected) {
		stored, err = t.oneByOne(ctx, b)
	}
	if err != nil {
		t.lost = true
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.status.Events += int64(stored)
}

// submit has the writer commit b. It fails when the database will never take it, or when
// we have to end.
func (t *Tail) submit(ctx context.Context, b *writer.Batch) error {
	for wait := 100 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		_, err := t.w.Submit(b)
		if err == nil || errors.Is(err, writer.ErrRejected) || errors.Is(err, writer.ErrClosed) {
			return err
		}
		if errors.Is(err, writer.ErrPending) {
			b = again(b) // the writer still has the other
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
}

// oneByOne stores the rows of b, of which the database will never take one, each in a
// batch of its own, and then what b counts and the positions. It returns how many rows
// were stored.
func (t *Tail) oneByOne(ctx context.Context, b *writer.Batch) (stored int, err error) {
	rest := &writer.Batch{Counts: b.Counts, Positions: b.Positions}
	var each []*writer.Batch
	for i := range b.Errors {
		each = append(each, &writer.Batch{Errors: b.Errors[i : i+1]})
	}
	for i := range b.Events {
		each = append(each, &writer.Batch{Events: b.Events[i : i+1]})
	}
	// The writer has counted all of them as refused, and does so again with each that is.
	const reason = "rejected by the database"
	rest.Counts.Add(writer.Entry{Kind: writer.KindError, Outcome: writer.Refused, Reason: reason}, -int64(len(b.Errors)))
	rest.Counts.Add(writer.Entry{Kind: writer.KindEvent, Outcome: writer.Refused, Reason: reason}, -int64(len(b.Events)))
	for _, one := range append(each, rest) {
		switch err := t.submit(ctx, one); {
		case err == nil:
			stored += len(one.Errors) + len(one.Events)
		case errors.Is(err, writer.ErrRejected):
			t.opts.Log.Warn("a line of the agent's log cannot be stored")
		default:
			return stored, err
		}
	}
	return stored, nil
}

// again returns the same rows in a batch of their own, which can be prepared while the
// writer reads the first. Their counts may be in the first one's transaction; if they are
// not, lines are missing from the count, but no event.
func again(b *writer.Batch) *writer.Batch {
	c := &writer.Batch{Errors: slices.Clone(b.Errors), Events: slices.Clone(b.Events), Positions: slices.Clone(b.Positions)}
	for i := range c.Errors {
		own(&c.Errors[i].StackTrace)
		own(&c.Errors[i].Metadata)
	}
	for i := range c.Events {
		own(&c.Events[i].SessionID)
		own(&c.Events[i].Metadata)
	}
	return c
}

// own makes p point to a copy.
func own(p **string) {
	if *p != nil {
		s := **p
		*p = &s
	}
}

func (t *Tail) count(outcome, reason string, n int64) {
	t.batch.Counts.Add(writer.Entry{Kind: writer.KindLog, Outcome: outcome, Reason: reason}, n)
}

// Line is a line of the log.
type Line struct {
	At   time.Time
	Text string
}

// Lines returns the last lines of the file that was written last, the oldest first. It
// reads them from the file.
func (t *Tail) Lines() []Line {
	path := t.Status().Path
	if path == "" {
		return nil
	}
	f, err := openFile(path, t.opts.Path == Auto, time.Now())
	if err != nil {
		return nil
	}
	defer f.Close()
	const tailBytes = 64 << 10
	from := max(0, f.size-tailBytes)
	b := make([]byte, f.size-from)
	n, _ := f.ReadAt(b, from) // what could be read is enough
	lines := splitLines(b[:n], from > 0)
	lines = lines[max(0, len(lines)-lastLines):]
	all := make([]Line, 0, len(lines))
	for _, line := range lines {
		r := parse(line)
		at := r.at
		if at.IsZero() {
			at = f.changed
		}
		all = append(all, Line{at, cmp.Or(r.body, string(line))})
	}
	return all
}
