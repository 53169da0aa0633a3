package tail_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/tail"
)

func join(lists ...[]string) (all []string) {
	for _, list := range lists {
		all = append(all, list...)
	}
	return all
}

// At the very first start what is in a file is old, later it is not.
func TestBegins(t *testing.T) {
	inWorld(t, "a-*.log", func(x *world) {
		old, _ := failures(1, 3)
		x.write("a-1.log", old)
		x.start()
		more, want := failures(4, 5)
		x.write("a-1.log", more)
		x.wait(3 * time.Second)
		x.expect(want...)

		late, wantLate := failures(6, 7)
		x.write("a-2.log", late)
		x.wait(3 * time.Second)
		x.expect(join(want, wantLate)...)
		x.stop()

		down, wantDown := failures(8, 9)
		x.write("a-3.log", down)
		x.start()
		x.wait(3 * time.Second)
		x.expect(join(want, wantLate, wantDown)...)
	})
}

// A log that is not there yet is read from its beginning.
func TestBeginsBeforeTheLog(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		if s := x.tail.Status(); !strings.Contains(s.Reason, "no file is called "+x.path("a.log")) {
			t.Errorf("%+v", s)
		}
		x.stop()
		lines, want := failures(1, 2)
		x.write("a.log", lines)
		x.start()
		x.wait(3 * time.Second)
		x.expect(want...)
		if s := x.tail.Status(); s.Reason != "" || s.Files != 1 || s.Behind != 0 || s.Lines != 2 || s.Events != 2 {
			t.Errorf("%+v", s)
		}
	})
}

// Whatever is done to a log by those who keep logs short, no line is missing and none
// comes twice.
func TestRotation(t *testing.T) {
	one, wantOne := failures(1, 40)
	two, wantTwo := failures(41, 50)
	three, wantThree := failures(51, 60)
	for name, rotate := range map[string]func(x *world){
		"rename and create": func(x *world) {
			x.must(os.Rename(x.path("a.log"), x.path("a.log.1")))
			x.write("a.log.1", two) // the writer has it open still
			x.write("a.log", three)
		},
		"rename, and create later": func(x *world) {
			x.must(os.Rename(x.path("a.log"), x.path("a.log.1")))
			x.wait(5 * time.Second)
			x.write("a.log.1", two)
			x.wait(30 * time.Second)
			x.write("a.log", three)
		},
		"copytruncate": func(x *world) {
			x.write("a.log", two)
			x.wait(2 * time.Second)
			x.must(exec.Command("cp", x.path("a.log"), x.path("a.log.1")).Run())
			x.wait(2 * time.Second)
			x.must(os.Truncate(x.path("a.log"), 0))
			x.wait(2 * time.Second)
			x.write("a.log", three)
		},
		"truncated and regrown past the position": func(x *world) {
			x.write("a.log", two)
			x.wait(2 * time.Second)
			x.must(os.Truncate(x.path("a.log"), 0))
			x.write("a.log", three+strings.Repeat("nothing\n", 1000))
		},
		"the inode is used again": func(x *world) {
			x.write("a.log", two)
			x.wait(2 * time.Second)
			x.must(os.Remove(x.path("a.log")))
			x.write("a.log", three)
		},
		"compressed": func(x *world) {
			x.write("a.log", two)
			x.wait(2 * time.Second)
			x.must(exec.Command("gzip", x.path("a.log")).Run())
			x.write("a.log", three)
		},
	} {
		for _, pattern := range []string{"a.log", "a.log*"} {
			for _, down := range []bool{false, true} {
				if down && (strings.HasPrefix(name, "copytruncate") || name == "truncated and regrown past the position" ||
					name == "compressed" || name == "the inode is used again") {
					continue // they wait for what was written before
				}
				t.Run(fmt.Sprintf("%s, %s, down %v", name, pattern, down), func(t *testing.T) {
					inWorld(t, pattern, func(x *world) {
						x.start()
						x.write("a.log", one)
						x.wait(3 * time.Second)
						if down {
							x.stop()
						}
						rotate(x)
						if down {
							x.start()
						}
						x.wait(3 * time.Second)
						x.expect(join(wantOne, wantTwo, wantThree)...)
						x.wait(time.Minute)
						if n := x.tail.Status().Files; pattern == "a.log" && n != 1 {
							t.Errorf("%d files are open", n)
						}
					})
				})
			}
		}
	}
}

// A log that is named after the day goes on in the next one.
func TestMidnight(t *testing.T) {
	inWorld(t, "openclaw-YYYY-MM-DD.log", func(x *world) {
		x.write("openclaw-old.log", "ERROR not ours\n")
		x.start()
		one, wantOne := failures(1, 3)
		two, wantTwo := failures(4, 4)
		three, wantThree := failures(5, 9)
		x.write("openclaw-2000-01-01.log", one)
		x.wait(2 * time.Second)
		x.write("openclaw-2000-01-02.log", three)
		x.write("openclaw-2000-01-01.log", two)
		x.wait(3 * time.Second)
		x.expect(join(wantOne, wantTwo, wantThree)...)
	})
}

// Stopped, killed and written to at any moment, everything is there once.
func TestAnyMoment(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 1))
			inWorld(t, "a.log", func(x *world) {
				x.start()
				text, want := failures(1, 300)
				for len(text) > 0 {
					n := min(len(text), 1+random.IntN(600))
					x.write("a.log", text[:n])
					text = text[n:]
					switch random.IntN(8) {
					case 0:
						x.stop()
						x.start()
					case 1:
						x.crash()
						x.start()
					case 2:
						if strings.HasPrefix(text+"1999-", "1999-") { // a line is never cut in two by it
							x.wait(3 * time.Second)
							x.must(os.Rename(x.path("a.log"), x.path("b.log")))
						}
					default:
						x.wait(time.Duration(random.IntN(2500)) * time.Millisecond)
					}
				}
				x.wait(10 * time.Second)
				x.expect(want...)
				if b := x.w.Books(); b.Received != 300 || b.Duplicates != 0 {
					t.Errorf("%+v", b)
				}
			})
		})
	}
}

// A line that ends later is one line; one that does not end is marked.
func TestPartialLine(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", "2000-01-01T00:00:01Z ERROR fai")
		x.wait(3 * time.Second)
		x.expect()
		x.write("a.log", "lure\n2000-01-01T00:00:02Z ERROR cut o")
		x.wait(3 * time.Second)
		x.expect("2000-01-01T00:00:01Z ERROR failure")
		x.wait(5 * time.Second)
		x.write("a.log", "ff ERROR\n2000-01-01T00:00:03Z ERROR next\n")
		x.wait(3 * time.Second)
		x.expect("2000-01-01T00:00:01Z ERROR failure", "2000-01-01T00:00:02Z ERROR cut o", "2000-01-01T00:00:03Z ERROR next")
		if m := x.rows()[1].metadata; m["log.line_partial"] != true || m["log.file.path"] != x.path("a.log") || m["log.file.position"] != 35.0 {
			t.Errorf("%v", m)
		}
	})
}

// Of a line of any length 64 KiB are kept, and the next line is found.
func TestLongLine(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		for _, size := range []int{64<<10 - 7, 64 << 10, 64<<10 + 1, 10 << 20} {
			x.write("a.log", "ERROR "+strings.Repeat("x ERROR ", size/8)+"\nERROR next\n")
		}
		x.wait(5 * time.Second)
		x.stop()
		x.start()
		x.wait(5 * time.Second)
		rows := x.rows()
		cut := 0
		for i, r := range rows {
			if r.metadata["log.line_cut"] == true {
				cut++
			}
			if next := strings.HasPrefix(r.message, "ERROR next"); next != (i%2 == 1) {
				t.Errorf("row %d: %.40q", i, r.message)
			}
		}
		if len(rows) != 8 || cut != 3 {
			t.Errorf("%d rows, %d of them cut", len(rows), cut)
		}
	})
}

// What is no file is not read, does not keep anybody waiting, and is told.
func TestNoFile(t *testing.T) {
	for name, make := range map[string]func(path string) error{
		"directory":         func(path string) error { return os.Mkdir(path, 0o700) },
		"FIFO":              func(path string) error { return syscall.Mkfifo(path, 0o600) },
		"loop of links":     func(path string) error { return os.Symlink(path, path) },
		"link into nothing": func(path string) error { return os.Symlink(path+".gone", path) },
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, "a.log", func(x *world) {
				x.must(make(x.path("a.log")))
				x.start()
				x.wait(time.Minute)
				if s := x.tail.Status(); !strings.HasPrefix(s.Reason, "OCT_LOG_PATH: ") || !strings.Contains(s.Reason, x.path("a.log")) {
					t.Errorf("%+v", s)
				}
				x.must(os.Remove(x.path("a.log")))
				lines, want := failures(1, 2)
				x.write("a.log", lines)
				x.wait(3 * time.Second)
				x.expect(want...)
			})
		})
	}
}

// Our own log is not followed, or it would feed on itself.
func TestOwnLog(t *testing.T) {
	inWorld(t, "*.log", func(x *world) {
		x.write("own.log", "")
		info, err := os.Stat(x.path("own.log"))
		x.must(err)
		x.opts.Avoid = []os.FileInfo{info}
		x.start()
		x.write("own.log", "ERROR of ours\n")
		x.write("a.log", "ERROR of the agent\n")
		x.wait(3 * time.Second)
		x.expect("ERROR of the agent")
	})
}

// A flood is cut to a burst and a trickle, and counted.
func TestFlood(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		x.write("a.log", strings.Repeat("ERROR again\n", 20_000)+strings.Repeat(`{"level":"error","msg":"again"}`+"\n", 20_000)+strings.Repeat("fine\n", 5000))
		x.wait(7 * time.Second)
		b, s := x.w.Books(), x.tail.Status()
		if b.Received < 1000 || b.Received > 1300 || b.Received+b.Refused != 40_000 || b.Ignored != 5000 {
			t.Errorf("%+v", b)
		}
		if s.Refused != b.Refused || s.Lines != 45_000 || s.Behind != 0 {
			t.Errorf("%+v", s)
		}
		x.wait(20 * time.Second)
		x.write("a.log", "ERROR later\n")
		x.wait(3 * time.Second)
		if n := x.w.Books().Received; n != b.Received+1 {
			t.Errorf("%d events after the flood", n-b.Received)
		}
	})
}

// The last lines are there for who wants to know what the agent said before it died.
func TestLines(t *testing.T) {
	inWorld(t, "a.log", func(x *world) {
		x.start()
		if lines := x.tail.Lines(); len(lines) != 0 {
			t.Errorf("%v", lines)
		}
		text, want := failures(1, 80)
		x.write("a.log", text+`{"level":"info","time":946684800000,"msg":"last"}`+"\nhalf")
		x.wait(time.Second)
		lines := x.tail.Lines()
		if len(lines) != 50 || lines[0].Text != want[32] || lines[49].Text != "half" || lines[48].Text != "last" ||
			!lines[48].At.Equal(time.Unix(946684800, 0)) {
			t.Errorf("%d lines: %v", len(lines), lines)
		}
	})
}

func TestBadPattern(t *testing.T) {
	inWorld(t, "a[.log", func(x *world) {
		x.opts.Path = x.path("ok.log")
		x.start()
		_, err := tail.New(x.Context(), x.st, x.w, tail.Options{Path: "/tmp/a[.log", Log: x.opts.Log})
		if err == nil || !strings.Contains(err.Error(), "OCT_LOG_PATH") {
			t.Errorf("%v", err)
		}
	})
}
