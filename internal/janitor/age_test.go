package janitor_test

import (
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/kon-rad/openclaw-trace/internal/janitor"
	"github.com/kon-rad/openclaw-trace/internal/writer"
)

// Without a remote, what is old goes, whatever it is, and is counted.
func TestExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.pass()
		x.submit(x.each(time.Now()))
		x.submit(x.each(time.Now()))
		x.deliver(writer.KindSpan, "id = 1") // there was a remote once
		for range 72 {
			time.Sleep(hour)
			x.submit(x.each(time.Now()))
		}
		if b := x.w.Books(); b.Expired != 0 {
			t.Errorf("before its time: %+v", b)
		}
		time.Sleep(10*time.Minute + 5*time.Second)
		for kind := range tables {
			want := int64(2)
			if kind == writer.KindSpan {
				want = 1
			}
			if n := x.counted(kind, writer.Expired, "age"); n != want || x.rows(kind, "id <= 2") != 0 || x.rows(kind, "1") != 72 {
				t.Errorf("%s: %d expired, %d and %d rows", kind, n, x.rows(kind, "id <= 2"), x.rows(kind, "1"))
			}
		}
		if s := x.j.Status(); s.Deleted[janitor.ByAge] != 10 || s.Reason != "" || s.Doubt != "" || s.OverBytes != 0 || s.LastRun == 0 {
			t.Errorf("%+v", s)
		}
	})
}

// With a remote, what it does not have stays.
func TestRemoteKeepsUndelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t, withRemote)
		defer x.close()
		for range 3 {
			x.submit(x.each(time.Now()))
		}
		for kind := range tables {
			x.deliver(kind, "id = 1")
			x.giveUp(kind, "id = 2")
		}
		time.Sleep(4 * day)
		for kind := range tables {
			if x.rows(kind, "id = 3") != 1 || x.rows(kind, "1") != 1 {
				t.Errorf("%s: %d rows", kind, x.rows(kind, "1"))
			}
		}
		if b := x.w.Books(); b.Dropped != 0 || b.Expired != 0 || b.Delivered != 5 || b.Quarantined != 5 || b.Pending() != 5 {
			t.Errorf("%+v", b)
		}
		if n := one[int](x, "SELECT COUNT(*) FROM quarantine"); n != 0 {
			t.Errorf("%d lines are left in the quarantine", n)
		}
	})
}

// Age is when something happened, not when it arrived.
func TestOldOnArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.pass()
		x.submit(x.each(time.Now().Add(-3*day - time.Second)))
		x.submit(x.each(time.Now().Add(-3*day + time.Minute)))
		x.pass()
		for kind := range tables {
			if x.rows(kind, "id = 1") != 0 || x.rows(kind, "id = 2") != 1 {
				t.Errorf("%s: %d rows", kind, x.rows(kind, "1"))
			}
		}
	})
}

// A clock that jumps deletes nothing.
func TestClockJumps(t *testing.T) {
	f := func(name string, jump time.Duration, restart bool) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				x := newWorld(t)
				defer x.close()
				for range 20 {
					x.submit(x.each(time.Now()))
					time.Sleep(hour)
				}
				x.skew.Store(int64(jump))
				if restart {
					x.close()
					x.open()
				}
				time.Sleep(20 * hour)
				if n := x.rows(writer.KindCall, "1"); n != 20 {
					t.Errorf("%d of 20 rows are left", n)
				}
				if s := x.j.Status(); !strings.Contains(s.Doubt, "nothing is deleted by age") || s.Reason != "" {
					t.Errorf("%+v", s)
				}
				x.skew.Store(int64(0)) // it was a mistake
				time.Sleep(10*time.Minute + 5*time.Second)
				if s := x.j.Status(); s.Doubt != "" {
					t.Errorf("%+v", s)
				}
				if n := x.rows(writer.KindCall, "1"); n != 20 {
					t.Errorf("%d of 20 rows are left", n)
				}
				time.Sleep(40 * hour)
				if n := x.rows(writer.KindCall, "1"); n != 11 {
					t.Errorf("%d rows are left, want 11", n)
				}
			})
		})
	}
	f("ten years", 3650*day, false)
	f("ten years, restarted", 3650*day, true)
	f("two days", 2*day, false)
	f("back to 1970", -30*365*day, false)
	f("back to 1970, restarted", -30*365*day, true)
}

// A jump that stays is believed in the end; small ones are at once.
func TestClockIsBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.submit(x.each(time.Now()))
		x.pass()
		x.skew.Store(int64(100 * day))
		time.Sleep(23 * hour)
		if x.rows(writer.KindCall, "1") != 1 || x.j.Status().Doubt == "" {
			t.Error("believed too early")
		}
		x.skew.Add(int64(50 * day)) // once more
		time.Sleep(23 * hour)
		if x.rows(writer.KindCall, "1") != 1 {
			t.Error("believed although it jumped again")
		}
		time.Sleep(2 * hour)
		if x.rows(writer.KindCall, "1") != 0 || x.j.Status().Doubt != "" {
			t.Errorf("never believed: %+v", x.j.Status())
		}
		x.skew.Add(-int64(hour))
		x.pass()
		x.skew.Add(int64(20 * hour))
		x.pass()
		if s := x.j.Status(); s.Doubt != "" {
			t.Errorf("small steps: %+v", s)
		}
	})
}

// Time that went by in doubt counts: a clock that is right again is believed at once.
func TestClockIsRightAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		x.pass()
		for range 4 {
			x.skew.Add(int64(100 * day))
			time.Sleep(23 * hour)
			if x.j.Status().Doubt == "" {
				t.Error("believed too early")
			}
		}
		x.skew.Store(0)
		x.pass()
		if s := x.j.Status(); s.Doubt != "" {
			t.Errorf("%+v", s)
		}
	})
}

// Being switched off for a week costs a day, not the rows.
func TestLongStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer func() { x.close() }()
		x.submit(x.each(time.Now()))
		x.pass()
		x.close()
		time.Sleep(7 * day)
		x.open()
		time.Sleep(hour)
		if x.rows(writer.KindCall, "1") != 1 || x.j.Status().Doubt == "" {
			t.Error("deleted at once")
		}
		x.close()
		time.Sleep(6 * day) // and by then
		x.open()
		time.Sleep(2 * time.Second)
		if x.rows(writer.KindCall, "1") != 0 || x.j.Status().Doubt != "" {
			t.Errorf("never deleted: %+v", x.j.Status())
		}
	})
}

// What stands beside the events is bounded too.
func TestSmallTables(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		x := newWorld(t)
		defer x.close()
		now := time.Now().UnixMilli()
		x.alter(
			`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
			INSERT INTO usage SELECT 'hour', `+ms(now)+` - i * 3600000, 'p', 'm', '', 'ok', 1, 1, 1, 1, 1, 1, 1, 1, 1 FROM n`,
			`INSERT INTO usage SELECT 'day', `+ms(now)+` - (start_at - `+ms(now)+`) * -12, provider, model, agent, status, 1, 1, 1, 1, 1, 1, 1, 1, 1 FROM usage`,
			`INSERT INTO latency SELECT granularity, start_at, provider, model, 3, 1 FROM usage`,
			`WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
			INSERT INTO sessions SELECT 's' || i, '', 1, `+ms(now)+` - i, 1, 1, 1, 1, 1, 1, 1 FROM n`,
			`UPDATE sessions SET last_at = `+ms(now-4*day.Milliseconds())+` WHERE session_id = 's7'`,
			`INSERT INTO push_log (created_at, status) VALUES (`+ms(now-40*day.Milliseconds())+`, 'ok'), (`+ms(now)+`, 'ok')`,
			`INSERT INTO log_positions VALUES (1, 1, '/a', 0, '', 0, `+ms(now-500*day.Milliseconds())+`), (1, 2, '/b', 0, '', 0, `+ms(now)+`)`,
		)
		x.pass()
		for query, want := range map[string]int{
			"SELECT COUNT(*) FROM usage WHERE granularity = 'hour'":   35*24 + 1,
			"SELECT COUNT(*) FROM usage WHERE granularity = 'day'":    801,
			"SELECT COUNT(*) FROM latency WHERE granularity = 'hour'": 35*24 + 1,
			"SELECT COUNT(*) FROM latency WHERE granularity = 'day'":  801,
			"SELECT COUNT(*) FROM sessions":                           10_000,
			"SELECT COUNT(*) FROM sessions WHERE session_id = 's7'":   0,
			"SELECT COUNT(*) FROM sessions WHERE session_id = 's0'":   1,
			"SELECT COUNT(*) FROM push_log":                           1,
			"SELECT COUNT(*) FROM log_positions":                      1,
		} {
			if n := one[int](x, query); n != want {
				t.Errorf("%s: %d, want %d", query, n, want)
			}
		}
	})
}

func ms(n int64) string { return strconv.FormatInt(n, 10) }
