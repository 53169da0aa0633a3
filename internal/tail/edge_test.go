package tail_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/db"
	"github.com/kon-rad/openclaw-trace/internal/tail"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// openclaw is a line of OpenClaw's log.
func openclaw(at time.Time, text string) string {
	return fmt.Sprintf(`{"0":"{\"subsystem\":\"x\"}","1":%q,"_meta":{"logLevelName":"ERROR"},"time":%q}`+"\n", text, at.Format(time.RFC3339Nano))
}

// A hole behind an event, of whatever size, ends the event and is passed over.
func TestHole(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", "ERROR one\n"+strings.Repeat("\x00", 600<<10)+"ERROR two\n")
		x.wait(5 * time.Second)
		x.expect("ERROR one", "ERROR two")
	})
}

// A log that is gone is read to its end, however much of it had to wait.
func TestGoneWhileWaiting(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		text, _ := failures(1, 1050)
		x.write("a.log", openclaw(time.Now(), "first")+text)
		x.wait(2 * time.Second)
		x.must(os.Remove(x.path("a.log")))
		x.wait(time.Minute)
		if b := x.w.Books(); b.Received+b.Refused != 1051 {
			t.Errorf("%+v", b)
		}
	})
}

// Lines of a time to come, as after the clock was set back, do not wait one by one.
func TestClockSetBack(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		for n := range 50 {
			x.write("a.log", openclaw(time.Now().Add(time.Hour+time.Duration(n)*time.Second), fmt.Sprint("failure ", n)))
		}
		x.wait(30 * time.Second)
		if n := len(x.rows()); n != 50 {
			t.Errorf("%d events", n)
		}
	})
}

// A row that the database does not take is counted once, and takes no other with it.
func TestRejectedRow(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		conn, err := sql.Open("sqlite", x.db)
		x.must(err)
		defer conn.Close()
		_, err = conn.ExecContext(context.Background(), `CREATE TRIGGER bad BEFORE INSERT ON error_events
			WHEN NEW.message LIKE '%failure 7' BEGIN SELECT RAISE(ABORT, 'no'); END`)
		x.must(err)
		lines, want := failures(1, 20)
		x.write("a.log", "fine\n"+lines)
		x.wait(5 * time.Second)
		x.expect(join(want[:6], want[7:])...)
		if b := x.w.Books(); b.Received != 19 || b.Refused != 1 || b.Ignored != 1 {
			t.Errorf("%+v", b)
		}
		if s := x.tail.Status(); s.Events != 19 || s.Behind != 0 {
			t.Errorf("%+v", s)
		}
	})
}

// Who ends does not wait for a database that takes nothing.
func TestCloseWithoutDatabase(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		release := make(chan struct{})
		go func() {
			_ = x.w.Do(context.Background(), func(*writer.Tx) error { <-release; return nil })
		}()
		x.write("a.log", "fine\n")
		x.wait(3 * time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := x.tail.Close(ctx); err != nil {
			t.Error(err)
		}
		close(release)
	})
}

// What is not followed is not what the agent said last.
func TestLinesOfOthers(t *testing.T) {
	inWorld(t, "*.log", func(x *world) {
		x.write("own.log", "")
		info, err := os.Stat(x.path("own.log"))
		x.must(err)
		x.opts.Avoid = []os.FileInfo{info}
		x.write("a.log", "of the agent\n")
		x.start()
		x.wait(time.Second)
		x.write("own.log", "of ours\n")
		x.must(os.Chtimes(x.path("own.log"), time.Time{}, time.Now().AddDate(10, 0, 0)))
		x.wait(time.Second)
		if s := x.tail.Status(); s.Path != x.path("a.log") {
			t.Errorf("%+v", s)
		}
		if lines := x.tail.Lines(); len(lines) != 1 || lines[0].Text != "of the agent" {
			t.Errorf("%v", lines)
		}
	})
}

// packed is text as gzip stores it without packing it.
func packed(text string) string {
	var b bytes.Buffer
	z, _ := gzip.NewWriterLevel(&b, gzip.NoCompression)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
	return b.String()
}

// The inode of an archive that was deleted may be the next log's.
func TestInodeOfArchive(t *testing.T) {
	inWorld(t, "a.log*", func(x *world) {
		x.write("a.log", "")
		x.start()
		x.write("a.log.1.gz", packed("\nERROR old\n"))
		x.wait(3 * time.Second)
		x.must(os.Rename(x.path("a.log.1.gz"), x.path("a.log")))
		x.must(os.Truncate(x.path("a.log"), 0))
		x.write("a.log", "ERROR new\n")
		x.wait(3 * time.Second)
		x.expect("ERROR new")
	})
}

// An archive is one also if it was seen before its first byte was written.
func TestArchiveUnderWay(t *testing.T) {
	inWorld(t, "a.log*", func(x *world) {
		x.start()
		x.write("a.log.1.gz", "")
		x.wait(2 * time.Second)
		x.write("a.log.1.gz", packed("\nERROR old\n"))
		x.wait(3 * time.Second)
		x.expect()
	})
}

// The copy of a short log is a copy too.
func TestShortCopy(t *testing.T) {
	inWorld(t, "a.log*", func(x *world) {
		x.start()
		lines, want := failures(1, 3)
		x.write("a.log", lines)
		x.wait(3 * time.Second)
		x.must(exec.Command("cp", x.path("a.log"), x.path("a.log.1")).Run())
		x.must(os.Truncate(x.path("a.log"), 0))
		x.wait(3 * time.Second)
		x.expect(want...)
	})
}

// A fault is told once.
func TestFaultOnce(t *testing.T) {
	const unreadable = "/sys/class/net/lo/speed"
	if _, err := os.ReadFile(unreadable); err == nil || os.IsNotExist(err) {
		t.Skip("no file here that has a size and cannot be read")
	}
	inWorld(t, "a.log", func(x *world) {
		var out bytes.Buffer
		x.opts.Log = slog.New(slog.NewTextHandler(&out, nil))
		x.start()
		x.must(os.Symlink(unreadable, x.path("a.log")))
		x.wait(30 * time.Second)
		if n := strings.Count(out.String(), "invalid argument"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if s := x.tail.Status(); !strings.Contains(s.Reason, "invalid argument") {
			t.Errorf("%+v", s)
		}
	})
}

// In /tmp anybody may have made a directory or a link that looks like OpenClaw's.
func TestAuto(t *testing.T) {
	dir, err := os.MkdirTemp("/tmp", "openclaw-")
	if err != nil {
		t.Skip(err)
	}
	defer os.RemoveAll(dir)
	inWorld(t, tail.Auto, func(x *world) {
		linked := dir + "-link"
		x.must(os.Symlink(x.dir, linked))
		defer os.Remove(linked)
		x.start()
		x.write("openclaw-1.log", "ERROR private\n")
		x.must(os.Symlink(x.path("openclaw-1.log"), filepath.Join(dir, "openclaw-2.log")))
		x.must(os.WriteFile(filepath.Join(dir, "openclaw-3.log"), []byte("ERROR of the agent\n"), 0o600))
		x.wait(3 * time.Second)
		x.expect("ERROR of the agent")
	})
}

// At the first start no file of the pattern is new, however many there are.
func TestManyFiles(t *testing.T) {
	inWorld(t, "a-*.log", func(x *world) {
		for n := range 1500 {
			name := fmt.Sprintf("a-%d.log", n)
			x.write(name, "ERROR old\n")
			x.must(os.Chtimes(x.path(name), time.Time{}, time.Unix(int64(1000+n), 0)))
		}
		x.start()
		x.write("a-0.log", "ERROR new\n")
		x.wait(3 * time.Second)
		x.expect("ERROR new")
		x.stop()
		x.start()
		x.write("a-3.log", "ERROR newer\n")
		x.wait(3 * time.Second)
		x.expect("ERROR new", "ERROR newer")
		if n := x.tail.Status().Files; n > 20 {
			t.Errorf("%d files are open", n)
		}
	})
}

// A log is found under its new name in a directory of any size.
func TestRenamedInALargeDirectory(t *testing.T) {
	inWorld(t, "a-?.log", func(x *world) {
		for n := range 2500 {
			x.write(fmt.Sprint("other-", n), "")
		}
		x.start()
		for n := range 6 {
			x.write(fmt.Sprintf("a-%d.log", n), failure(n))
		}
		x.wait(3 * time.Second)
		x.stop()
		want := 0
		for n := range 6 { // where a directory lists a name is chance
			x.write(fmt.Sprintf("a-%d.log", n), failure(n+10))
			x.must(os.Rename(x.path(fmt.Sprintf("a-%d.log", n)), x.path(fmt.Sprint("renamed-", n))))
			want += 2
		}
		x.start()
		x.wait(3 * time.Second)
		if got := len(x.rows()); got != want {
			t.Errorf("%d events, want %d", got, want)
		}
	})
}

// Positions of files that are gone do not gather.
func TestPositionsAreBounded(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		count := func() (n int) {
			conn, err := sql.Open("sqlite", x.db)
			x.must(err)
			defer conn.Close()
			x.must(conn.QueryRowContext(context.Background(), "SELECT count(*) FROM log_positions").Scan(&n))
			return n
		}
		b := new(writer.Batch)
		for n := range 15_000 {
			b.Positions = append(b.Positions, tail.GonePosition(x.path("a.log"), int64(1<<40+n), time.Now().Add(-29*24*time.Hour-12*time.Hour)))
		}
		_, err := x.w.Submit(b)
		x.must(err)
		x.stop()
		x.start()
		x.wait(time.Second)
		if n := count(); n > 10_100 {
			t.Errorf("%d positions", n)
		}
		x.wait(25 * time.Hour)
		if n := count(); n > 2 {
			t.Errorf("%d positions after a day", n)
		}
	})
}

// Two short logs that say the same are two.
func TestNoCopy(t *testing.T) {
	inWorld(t, "a-*.log", func(x *world) {
		x.start()
		x.write("a-1.log", "ERROR no\n")
		x.wait(3 * time.Second)
		x.write("a-2.log", "ERROR no\n")
		x.wait(3 * time.Second)
		x.expect("ERROR no", "ERROR no")
	})
}

// What is behind the cut of a long line of JSON does not hide what is before it, nor
// whether it is a failure.
func TestLongJSON(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		long := strings.Repeat("x", 100<<10)
		x.write("a.log", `{"level":"error","time":946684800000,"msg":"no","data":"`+long+`"}`+"\n")
		x.write("a.log", `{"level":"info","time":946684800000,"msg":"yes","data":"`+long+`"}`+"\n")
		x.write("a.log", `{"0":"{\"subsystem\":\"x\"}","1":"`+long+`","_meta":{"logLevelName":"ERROR"},"time":"2000-01-01T00:00:01Z"}`+"\n")
		x.write("a.log", `{"0":"{\"subsystem\":\"x\"}","1":"`+long+`","_meta":{"logLevelName":"INFO"},"time":"2000-01-01T00:00:01Z"}`+"\n")
		x.wait(5 * time.Second)
		rows := x.rows()
		if len(rows) != 2 || rows[0].message != "no" || rows[0].severity != "error" || rows[1].severity != "error" {
			t.Errorf("%d rows: %.200v", len(rows), rows)
		}
		if b := x.w.Books(); b.Ignored != 2 {
			t.Errorf("%+v", b)
		}
	})
}

// An exception that a logger adds to its line is part of the event.
func TestLoggedException(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", `2000-01-01 00:00:01,000 ERROR app it failed
Traceback (most recent call last):
  File "a.py", line 1, in <module>
    f()
ValueError: no such thing

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "a.py", line 3, in <module>
KeyError: 'x'
2000-01-01 00:00:02,000 ERROR app it failed again
2000-01-01 00:00:03.000 ERROR 1 --- [main] o.s.b.SpringApplication : it failed
java.lang.IllegalStateException: no
	at a.b.C.d(C.java:1)
Caused by: java.io.IOException: no
	... 12 more
`)
		x.wait(5 * time.Second)
		rows := x.rows()
		var got []string
		for _, r := range rows {
			got = append(got, r.message+" / "+r.stack)
		}
		if len(rows) != 3 || !strings.HasSuffix(rows[0].message, "it failed") || !strings.HasSuffix(rows[0].stack, "KeyError: 'x'\n") ||
			rows[1].stack != "" || !strings.HasSuffix(rows[2].stack, "... 12 more\n") {
			t.Errorf("%d events:\n%s", len(rows), strings.Join(got, "\n---\n"))
		}
	})
}

// A batch that is sent again is prepared again, while the writer may still read the first.
func TestAgainSharesNothing(t *testing.T) {
	text := "text"
	b := &writer.Batch{
		Errors: []db.InsertErrorEventParams{{StackTrace: &text, Metadata: &text}},
		Events: []db.InsertCustomEventParams{{SessionID: &text, Metadata: &text}},
	}
	c := tail.Again(b)
	for _, p := range []*string{c.Errors[0].StackTrace, c.Errors[0].Metadata, c.Events[0].SessionID, c.Events[0].Metadata} {
		if p == nil || p == &text || *p != text {
			t.Errorf("%v", p)
		}
	}
}

// However often a log is rotated, with the old ones under the pattern too, and whatever
// happens to us meanwhile, each line is there once.
func TestAnyRotation(t *testing.T) {
	for seed := range uint64(16) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 3))
			pattern := []string{"a.log", "a.log*"}[seed%2]
			inWorld(t, pattern, func(x *world) {
				x.start()
				up, unseen := true, true // unseen is whether nothing of a.log was read
				x.write("a.log", "")
				n, total := 0, 300
				for n < total {
					for range 1 + random.IntN(12) {
						if n < total {
							x.write("a.log", failure(n+1))
							n++
						}
					}
					switch op := random.IntN(8); {
					case op == 0 && up:
						x.stop()
						up = false
					case op == 1 && up:
						x.crash()
						up = false
					case op <= 3 && !up:
						x.start()
						x.wait(time.Second)
						up, unseen = true, false
					case op == 4: // logrotate
						if !up && unseen && pattern == "a.log" {
							continue // nobody could know of the one between
						}
						unseen = true
						if up {
							x.wait(2 * time.Second) // what is deleted was read
							_ = os.Remove(x.path("a.log.3"))
						}
						for i := 3; i > 1; i-- {
							if _, err := os.Stat(x.path(fmt.Sprint("a.log.", i))); err != nil {
								_ = os.Rename(x.path(fmt.Sprint("a.log.", i-1)), x.path(fmt.Sprint("a.log.", i)))
							}
						}
						if _, err := os.Stat(x.path("a.log.1")); err != nil {
							x.must(os.Rename(x.path("a.log"), x.path("a.log.1")))
							x.write("a.log", "")
						}
						if up {
							x.wait(2 * time.Second)
						}
					case op == 5 && up && pattern == "a.log*": // copytruncate, of what was read
						x.wait(3 * time.Second)
						x.must(os.Truncate(x.path("a.log"), 0))
						x.wait(2 * time.Second)
					default:
						x.wait(time.Duration(1000+random.IntN(2000)) * time.Millisecond)
						unseen = unseen && !up
					}
				}
				if !up {
					x.start()
				}
				x.wait(30 * time.Second)
				_, want := failures(1, total)
				x.expect(want...)
				if b := x.w.Books(); b.Received != int64(total) || b.Duplicates != 0 {
					t.Errorf("%+v", b)
				}
			})
		})
	}
}
