package main_test

import (
	"bufio"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestKill(t *testing.T) {
	f := func(synchronous string, rounds int) {
		t.Helper()
		t.Run(synchronous, func(t *testing.T) {
			t.Parallel()
			r := newRand(t)
			in := newInstance(t, dbPath(t), "OCT_SYNCHRONOUS="+synchronous)
			rec := newRecord(in)
			for range rounds {
				// While it opens, creates or recovers the database there is nothing to
				// count, so the moment is a time.
				p := in.launch(binary)
				if r.IntN(3) == 0 {
					<-time.After(time.Duration(r.IntN(25)) * time.Millisecond)
					p.kill()
					p = in.launch(binary)
				}
				p.await("listening", 1)
				rec.checkSettled()
				rec.resend()
				rec.check()
				rec.checkHealth()
				rec.load(r, 8, 1+r.IntN(150), func() { p.signal(syscall.SIGKILL) })
				p.wait()
			}
			p := in.start()
			rec.checkSettled()
			rec.resend()
			rec.checkHealth()
			p.stop()
			rec.checkSettled()
			t.Logf("%d kills, %d events acknowledged, none lost", rounds, len(rec.acked))
		})
	}
	f("normal", *kills)
	f("full", max(1, *kills*3/10))
}

func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t))
	rounds := 3
	if *long {
		rounds = 50
	}
	rec := newRecord(in)
	for range rounds {
		p := in.start()
		rec.load(r, 8, 1+r.IntN(80), func() { p.signal(syscall.SIGTERM) })
		if code := p.wait().ExitCode(); code != 0 {
			t.Fatalf("exit code %d, want 0\n%s", code, p.stderr.String())
		}
		p.await("shutdown complete", 1)
		if _, err := os.Stat(in.db + "-wal"); err == nil {
			t.Error("a clean stop left a write-ahead log")
		}
		// Whoever was let in was answered, so without an answer nothing is stored.
		if n := rec.checkSettled(); n > len(rec.acked) {
			t.Errorf("%d events are stored, but only %d were acknowledged", n, len(rec.acked))
		}
	}
}

// slowRequest is a request that never ends, so that a stop has to wait for it.
func slowRequest(t *testing.T, in *instance) {
	t.Helper()
	c, err := net.Dial("tcp", in.url[len("http://"):])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	_, err = c.Write([]byte("POST /v1/traces HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n" +
		"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n"))
	if err != nil {
		t.Fatal(err)
	}
	// The handler asks for the body: it is at work.
	if _, err := c.Read(make([]byte, 25)); err != nil {
		t.Fatal(err)
	}
}

func TestStopWithRequestThatNeverEnds(t *testing.T) {
	t.Parallel()
	in := newInstance(t, dbPath(t))
	p := in.start()
	rec := newRecord(in)
	rec.mustStore(calls(newRand(t), 3))
	slowRequest(t, in)
	p.stop()
	rec.check()
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	r := newRand(t)
	in := newInstance(t, dbPath(t))
	p := in.start()
	rec := newRecord(in)
	rec.mustStore(calls(r, 3))
	rec.mustStore(spans(r, 3))
	slowRequest(t, in)
	p.signal(syscall.SIGTERM)
	p.await("signal received", 1)
	// The default action comes back just after the first signal is seen, so one of
	// the next ones is the second.
	for again := time.NewTicker(time.Millisecond); ; {
		_ = p.cmd.Process.Signal(syscall.SIGTERM) // may have ended
		select {
		case <-p.done:
		case <-again.C:
			continue
		}
		again.Stop()
		break
	}
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("the process ended with %v, want by the second signal", p.cmd.ProcessState)
	}
	p = in.start()
	rec.check()
	p.stop()
}

func TestLivesWithoutReaderOfItsLog(t *testing.T) {
	t.Parallel()
	in := newInstance(t, dbPath(t), "OCT_LOG_LEVEL=debug")
	cmd := in.command(binary)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // has ended unless the test failed
	for lines := bufio.NewScanner(stdout); !strings.Contains(lines.Text(), `"listening"`); {
		if !lines.Scan() {
			t.Fatal("the process ended without listening")
		}
	}
	stdout.Close()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	rec := newRecord(in)
	rec.mustStore(calls(newRand(t), 2))
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the process ended with %v, want exit code 0", err)
	}
	rec.check()
}
