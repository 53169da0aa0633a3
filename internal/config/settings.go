package config

import (
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
)

// Setting describes one environment variable to people.
type Setting struct {
	Name    string
	Default string // as it would be written in the environment; may be empty
	Value   string // what it resolved to, credentials hidden
	Help    string // whole sentences on one line, ending with what is accepted
	Secret  bool   // whether Value is never more than "***"
}

// Settings lists every setting in the order of --help, with empty values.
func Settings() []Setting {
	var list []Setting
	for _, f := range fields() {
		list = append(list, Setting{
			Name:    f.name,
			Default: f.def,
			Help:    f.Tag.Get("help") + " Accepted: " + f.accepts() + ".",
			Secret:  f.isSecret(),
		})
	}
	return list
}

// Settings lists every setting in the order of --help, with its value in c.
func (c *Config) Settings() []Setting {
	list := Settings()
	v := reflect.ValueOf(c).Elem()
	for i, f := range fields() {
		switch x := v.FieldByIndex(f.Index).Interface().(type) {
		case []string:
			list[i].Value = strings.Join(x, ",")
		case slog.Level:
			list[i].Value = strings.ToLower(x.String())
		default:
			list[i].Value = fmt.Sprint(x)
		}
	}
	return list
}

// LogValue implements slog.LogValuer: a group with the value of each setting
// under its variable's name, credentials hidden.
func (c *Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for _, s := range c.Settings() {
		attrs = append(attrs, slog.String(s.Name, s.Value))
	}
	return slog.GroupValue(attrs...)
}

// WriteHelp writes the settings for a terminal of 80 columns: a line with the
// variable and its default, then what it means.
func WriteHelp(w io.Writer) error {
	const margin = "        "
	list := Settings()
	width := 0
	for _, s := range list {
		width = max(width, len(s.Name))
	}
	var b strings.Builder
	for _, s := range list {
		def := s.Default
		if def == "" {
			def = "(none)"
		}
		fmt.Fprintf(&b, "  %-*s  default: %s\n", width, s.Name, def)
		line := margin
		for word := range strings.FieldsSeq(s.Help) {
			switch {
			case line == margin:
				line += word
			case len(line)+1+len(word) <= 80:
				line += " " + word
			default:
				b.WriteString(line + "\n")
				line = margin + word
			}
		}
		b.WriteString(line + "\n")
	}
	_, err := io.WriteString(w, b.String())
	return err
}
