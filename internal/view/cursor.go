package view

import (
	"math"
	"strconv"
	"strings"
)

// Cursor is a place in a list: behind the row of this time, key and id.
type Cursor struct {
	At  int64  // created_at, or a session's last_at
	ID  int64  // 0 is behind all rows of that time
	Key string // an entry's kind or a session's id; otherwise ""
}

// String returns c as it stands in a URL.
func (c Cursor) String() string {
	if c == (Cursor{}) {
		return ""
	}
	s := strconv.FormatInt(c.At, 10) + "." + strconv.FormatInt(c.ID, 10)
	if c.Key != "" {
		s += "." + c.Key
	}
	return s
}

// ParseCursor is the inverse of String; "" is the zero Cursor.
func ParseCursor(s string) (c Cursor, err error) {
	if s == "" {
		return c, nil
	}
	at, rest, _ := strings.Cut(s, ".")
	id, key, _ := strings.Cut(rest, ".")
	if c.At, err = strconv.ParseInt(at, 10, 64); err == nil {
		c.ID, err = strconv.ParseInt(id, 10, 64)
	}
	if err != nil || c.At < 0 || c.ID < 0 || len(s) > maxParam {
		return Cursor{}, &ParamError{"before", "want what an earlier answer gave as next"}
	}
	c.Key = key
	return c, nil
}

// start returns where the search for a page begins, in a range that ends at until.
func (p Page) start(until int64) Cursor {
	end := Cursor{At: until}
	if until == math.MaxInt64 {
		end.ID = math.MaxInt64
	}
	if p.Before == (Cursor{}) || p.Before.At > until {
		return end
	}
	return p.Before
}
