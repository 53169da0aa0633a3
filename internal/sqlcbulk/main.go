// Command sqlcbulk is a sqlc process plugin: for each one-row insert whose
// comment says "bulk: n" it writes the insert of exactly n rows to bulk.sql.go.
//
//	-- name: InsertCall :execresult
//	-- bulk: 32
//	INSERT INTO calls (trace_id, model) VALUES (@trace_id, @model);
//
// gives InsertCallWidth = 32 and the method
//
//	InsertCallRows(ctx, *[InsertCallWidth]InsertCallParams) (sql.Result, error)
//
// The width is in the type, so another number of rows does not compile; the
// remainder goes through InsertCall. Nothing is put together at run time, so
// "sqlc diff" sees every change, and bulk.sql.go is written even when no query
// asks for it, because a file that is no longer generated escapes "sqlc diff".
//
// The package is named after the output folder. Parameter structs are sqlc's
// own, their field names predicted by its rules from the option initialisms,
// which sqlc.yaml gives to both; rename, emit_prepared_queries and
// query_parameter_limit are not supported and show as a compile error.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/format"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
)

func main() {
	if err := run(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// request is the part of sqlc's GenerateRequest that is used here.
type request struct {
	Settings      struct{ Codegen struct{ Out string } }
	Queries       []query
	PluginOptions []byte `json:"plugin_options"` // JSON
}

// options are the plugin's in sqlc.yaml.
type options struct {
	Initialisms []string // words written in capitals, as the Go generator's option
}

type query struct {
	Name, Cmd, Text, Filename string
	Comments                  []string
	Params                    []struct {
		Number int
		Column struct {
			Name    string
			IsNamed bool `json:"is_named_param"`
		}
	}
}

// insert is one method of the output.
type insert struct {
	Name, Cmd, Const, SQL string
	Width                 int
	Fields                []string // of the parameter struct, one per placeholder of a row
}

// run answers one request. Its error lists every faulty query.
func run(in io.Reader, out io.Writer) error {
	var req request
	if err := json.NewDecoder(in).Decode(&req); err != nil {
		return fmt.Errorf("read request: %w", err)
	}
	opts := options{Initialisms: []string{"id"}}
	if len(req.PluginOptions) > 0 {
		if err := json.Unmarshal(req.PluginOptions, &opts); err != nil {
			return fmt.Errorf("read options: %w", err)
		}
	}
	var inserts []insert
	var errs []error
	for _, q := range req.Queries {
		for _, c := range q.Comments {
			if n, ok := strings.CutPrefix(strings.TrimSpace(c), "bulk:"); ok {
				ins, err := opts.expand(q, strings.TrimSpace(n))
				if err != nil {
					errs = append(errs, fmt.Errorf("%s: %s: %w", q.Filename, q.Name, err))
				}
				inserts = append(inserts, ins)
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	slices.SortFunc(inserts, func(a, b insert) int { return strings.Compare(a.Name, b.Name) })

	var src bytes.Buffer
	data := map[string]any{"Package": filepath.Base(req.Settings.Codegen.Out), "Inserts": inserts}
	if err := source.Execute(&src, data); err != nil {
		return err
	}
	code, err := format.Source(src.Bytes())
	if err != nil {
		return fmt.Errorf("format bulk.sql.go: %w", err)
	}
	file := map[string]any{"name": "bulk.sql.go", "contents": code}
	return json.NewEncoder(out).Encode(map[string]any{"files": []any{file}})
}

var (
	//go:embed bulk.sql.go.tmpl
	layout string
	source = template.Must(template.New("bulk.sql.go").Parse(layout))

	token = regexp.MustCompile("(?s)'[^']*'|\"[^\"]*\"|`[^`]*`|(?:\\s|--[^\n]*|/\\*.*?\\*/)+|[?@:$]\\w*|\\w+|.")
	head  = regexp.MustCompile(`(?i)^(?:insert(?: or \w+)?|replace) into [^\s()]+(?: as \w+)? ?\([^()]*\) values ?`)
	tail  = regexp.MustCompile(`(?i)^(?:$| ?on conflict\b)`)
)

func (o options) expand(q query, width string) (insert, error) {
	n, err := strconv.Atoi(width)
	if err != nil || n < 2 || n > 500 {
		return insert{}, fmt.Errorf("bulk: %q: want a number from 2 to 500", width)
	}
	if q.Cmd != ":execresult" && q.Cmd != ":execrows" {
		return insert{}, fmt.Errorf("want :execresult or :execrows, not %s", q.Cmd)
	}
	if len(q.Params) < 2 {
		return insert{}, errors.New("want two parameters or more: sqlc makes no struct for fewer")
	}
	fields := make(map[string]string)
	for _, p := range q.Params {
		if p.Column.IsNamed {
			fields["?"+strconv.Itoa(p.Number)] = o.fieldName(p.Column.Name)
		}
	}

	// The head has no nested parentheses, and the row ends where its own close.
	// "?" replaces sqlc's "?1", which would bind each row to the first one's values.
	sql := token.ReplaceAllStringFunc(strings.TrimSpace(q.Text), blankToSpace)
	start := head.FindString(sql)
	var row, end strings.Builder
	var args []string
	part, depth, stray := &row, 0, ""
	for _, t := range token.FindAllString(sql[len(start):], -1) {
		switch t[0] {
		case '(':
			depth++
		case ')':
			depth--
		case '?', '@', ':', '$':
			if part != &row || fields[t] == "" {
				stray = t
			}
			args = append(args, fields[t])
			t = "?"
		}
		part.WriteString(t)
		if depth == 0 {
			part = &end
		}
	}
	if start == "" || !tail.MatchString(end.String()) {
		return insert{}, errors.New("want INSERT INTO table (columns) VALUES (one row) and at most ON CONFLICT")
	}
	if stray != "" {
		return insert{}, fmt.Errorf("%s: want @named parameters, and only in the row of values", stray)
	}
	if n*len(args) > 32766 {
		return insert{}, fmt.Errorf("bulk: %d: SQLite binds 32766 parameters, not %d", n, n*len(args))
	}
	text := strings.TrimSpace(start) + strings.Repeat("\n"+row.String()+",", n-1) + "\n" + row.String() + end.String()
	return insert{
		Name:   q.Name,
		Cmd:    q.Cmd,
		Const:  strings.ToLower(q.Name[:1]) + q.Name[1:] + "Rows",
		SQL:    strings.ReplaceAll(text, "`", "`+\"`\"+`"),
		Width:  n,
		Fields: args,
	}, nil
}

// blankToSpace makes one space of a run of white space and comments.
func blankToSpace(token string) string {
	if token[0] <= ' ' || strings.HasPrefix(token, "--") || strings.HasPrefix(token, "/*") {
		return " "
	}
	return token
}

// fieldName is the struct field that sqlc's Go generator makes of a parameter.
func (o options) fieldName(name string) string {
	words := strings.Split(name, "_")
	for i, w := range words {
		if slices.Contains(o.Initialisms, w) {
			words[i] = strings.ToUpper(w)
		} else if w != "" {
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, "")
}
