package main_test

import (
	"bufio"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// smallDisk returns a directory that is a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a file system of a given size cannot be mounted here (as root it can): %v", err)
	}
	t.Cleanup(func() { check(t, syscall.Unmount(dir, 0)) })
	return dir
}

// fill takes the last byte of the file system that path is on.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	check(t, err)
	defer f.Close()
	for chunk := make([]byte, 64<<10); len(chunk) > 0; {
		if _, err := f.Write(chunk); errors.Is(err, syscall.ENOSPC) {
			chunk = chunk[:len(chunk)/2]
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// bulk is a request of n times 16 KB of text.
func bulk(r *rand.Rand, n int) request {
	return native(r, "/v1/traces", "call/", n, func(id string) map[string]any {
		return map[string]any{"provider": "p", "model": "m", "input_text": text(id), "output_text": strings.Repeat("x", 16000)}
	})
}

func TestFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "8m")
	r := newRand(t)
	in := newInstance(t, filepath.Join(dir, "trace.db"))
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 10))
	fill(t, filepath.Join(dir, "filler"))

	rec.sendUntil(bulk(r, 20), func(a answer) bool { return a.status == http.StatusServiceUnavailable })
	if h := in.health(); h.Status != "error" || h.DBStatus != "error" || len(h.Reasons) == 0 {
		t.Errorf("health says %+v, want an error and its reason", h)
	}
	if a := in.get("/ready"); a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" {
		t.Errorf("GET /ready: %d, want 503 with Retry-After", a.status)
	}
	p.mustLive()
	rec.check()

	check(t, os.Remove(filepath.Join(dir, "filler")))
	rec.mustStore(bulk(r, 20))
	rec.resend()
	if h := in.health(); h.Status != "ok" {
		t.Errorf("health says %+v, want ok again", h)
	}
	rec.check()
	rec.checkHealth()
	p.stop()
	rec.checkSettled()
}

// On a disk that filled up while the process was down it says so and ends; what it
// had is there once there is space.
func TestStartOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "8m")
	r := newRand(t)
	in := newInstance(t, filepath.Join(dir, "trace.db"))
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 10))
	p.kill()
	fill(t, filepath.Join(dir, "filler"))
	p = in.start()
	rec.sendUntil(calls(r, 1), func(a answer) bool { return a.status == http.StatusServiceUnavailable })
	if h := in.health(); h.Status != "error" || len(h.Reasons) == 0 || !strings.Contains(h.Reasons[0], "full") {
		t.Errorf("health says %+v, want that the disk is full", h)
	}
	check(t, os.Remove(filepath.Join(dir, "filler")))
	rec.sendUntil(calls(r, 1), stored)
	rec.check()
	p.stop()
}

// When the agent takes all of the disk, the log that was kept is the room in which
// errors can still be taken and rows be deleted.
func TestAgentFillsDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "80m")
	r := newRand(t)
	in := newInstance(t, filepath.Join(dir, "trace.db"))
	rec := newRecord(in)
	p := in.start()
	size := func(path string) int64 {
		info, err := os.Stat(path)
		check(t, err)
		return info.Size()
	}
	// Until the log was copied into the database, and the next commit wrote it over
	// from its start.
	for size(in.db) < 1<<20 {
		rec.mustStore(bulk(r, 30))
	}
	rec.mustStore(calls(r, 1))
	kept := size(in.db + "-wal")
	fill(t, filepath.Join(dir, "filler"))
	for range 10 {
		rec.mustStore(failures(r, 10))
	}
	rec.check()
	db := openDB(t, in.db, "mode=rw")
	defer db.Close()
	if res, err := db.Exec("DELETE FROM llm_traces WHERE id <= 50"); err != nil {
		t.Errorf("delete on a full disk: %v", err)
	} else if n, err := res.RowsAffected(); err != nil || n != 50 {
		t.Errorf("deleted %d rows, want 50: %v", n, err)
	}
	if now := size(in.db + "-wal"); now != kept || kept < 8<<20 {
		t.Errorf("the log has %d bytes, and had %d", now, kept)
	}
	rec.mustStore(failures(r, 10))
	p.mustLive()
}

// A limit on the size of files is a full disk by another name.
func TestFileSizeLimit(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t))
	rec := newRecord(in)
	p := in.launch("sh", "-c", `ulimit -f 4096 && exec "$0"`, binary)
	p.await("listening", 1)
	rec.mustStore(calls(r, 10))
	rec.sendUntil(bulk(r, 300), func(a answer) bool { return a.status == http.StatusServiceUnavailable })
	p.mustLive()
	p.await("the database takes no rows", 1) // /health may say that it takes small ones again
	rec.mustStore(calls(r, 1))
	p.kill()
	p = in.start()
	rec.check()
	p.stop()
}

// disk makes system calls of the process fail or hang, as inject says in the words
// of strace, until release is called.
func disk(t *testing.T, p *process, calls, inject string) (release func()) {
	t.Helper()
	cmd := exec.Command("strace", "-f", "-e", "trace="+calls, "-e", "inject="+calls+":"+inject,
		"-p", strconv.Itoa(p.cmd.Process.Pid))
	stderr, err := cmd.StderrPipe()
	check(t, err)
	if err := cmd.Start(); err != nil {
		t.Skipf("faults of the disk are made with strace: %v", err)
	}
	said, err := bufio.NewReader(stderr).ReadString('\n')
	if err != nil || !strings.Contains(said, "attached") {
		_ = cmd.Wait()
		t.Skipf("strace may not attach here: %s", said)
	}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		_, _ = io.Copy(io.Discard, stderr) // so that strace never waits for us
	}()
	release = sync.OnceFunc(func() {
		_ = cmd.Process.Signal(syscall.SIGINT) // may have ended with the process
		select {
		case <-drained:
		case <-time.After(time.Second): // it does not listen while it delays
			_ = cmd.Process.Kill()
			<-drained
		}
		_ = cmd.Wait() // how it ended does not matter
	})
	t.Cleanup(release)
	return release
}

// A disk on which the kernel found an error is read-only from then on, until it is
// mounted anew.
func TestDiskBecomesReadOnly(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t))
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 10))
	release := disk(t, p, "pwrite64,ftruncate,fallocate", "error=EROFS")
	next := calls(r, 5)
	for range 3 {
		if a, err := rec.send(next); err != nil || a.status != http.StatusServiceUnavailable {
			t.Errorf("%d %s %v, want 503", a.status, a.body, err)
		}
	}
	if h := in.health(); h.Status != "error" || len(h.Reasons) == 0 {
		t.Errorf("health says %+v, want an error and its reason", h)
	}
	if a := in.get("/ready"); a.status != http.StatusServiceUnavailable {
		t.Errorf("GET /ready: %d, want 503", a.status)
	}
	p.mustLive()
	release()
	rec.sendUntil(next, stored)
	rec.check()
	rec.checkHealth()
	p.stop()
	rec.checkSettled()
}

// After a failed sync the kernel takes the pages for written. What was to be synced
// is not acknowledged, and the file is opened anew instead of trying again.
func TestSyncFails(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t), "OCT_SYNCHRONOUS=full")
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 5))
	release := disk(t, p, "fdatasync,fsync", "error=EIO")
	next := calls(r, 5)
	if a, err := rec.send(next); err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("%d %s %v, want 503", a.status, a.body, err)
	}
	p.await("the database is closed and will be opened anew", 1)
	p.await("the database cannot be opened; will try again", 1)
	if h := in.health(); h.Status != "error" || len(h.Reasons) == 0 {
		t.Errorf("health says %+v, want an error and its reason", h)
	}
	release()
	p.await("database opened", 2)
	rec.sendUntil(next, stored)
	rec.check()
	p.mustLive()
	p.stop()
	rec.checkSettled()
}

// A disk that does not answer must not make the agent wait.
func TestDiskHangs(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t), "OCT_SYNCHRONOUS=full", "OCT_SHUTDOWN_TIMEOUT=500ms")
	rec := newRecord(in)
	p := in.start()
	rec.mustStore(calls(r, 5))
	release := disk(t, p, "fdatasync,fsync", "delay_enter=600s")
	taken, waiting := calls(r, 2), calls(r, 2)
	a, err := rec.send(taken)
	if err != nil || a.status != http.StatusServiceUnavailable || !strings.Contains(string(a.body), taken.ids[1][len("call/"):]) {
		t.Errorf("%d %s %v, want 503 with the ids of what may yet be stored", a.status, a.body, err)
	}
	if a, err := rec.send(waiting); err != nil || a.status != http.StatusServiceUnavailable || strings.Contains(string(a.body), "trace_ids") {
		t.Errorf("%d %s %v, want 503 without ids, since nothing was stored", a.status, a.body, err)
	}
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for in.health().Status != "error" { // after five seconds of silence from the disk
		<-poll.C
	}
	if h := in.health(); !strings.Contains(strings.Join(h.Reasons, " "), "writer stalled") {
		t.Errorf("health says %+v, want that the writer is stalled", h)
	}
	p.signal(syscall.SIGTERM)
	p.await("the shutdown was not clean", 1)
	p.await("shutdown complete", 1)
	release() // the kernel keeps a process until its system calls have returned
	if code := p.wait().ExitCode(); code != 1 {
		t.Errorf("exit code %d, want 1 for a stop that was not clean", code)
	}
	p = in.start()
	rec.check()
	rec.resend()
	rec.check()
	p.stop()
}
