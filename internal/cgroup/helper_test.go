package cgroup_test

import (
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

// system returns the tree of testdata/<name>.txt: a comment, then for each file a line
// "-- path --" and its content.
func system(t testing.TB, name string) fstest.MapFS {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	tree, file := make(fstest.MapFS), (*fstest.MapFile)(nil)
	for line := range strings.Lines(string(data)) {
		name, marked := strings.CutPrefix(line, "-- ")
		name, closed := strings.CutSuffix(name, " --\n")
		switch {
		case marked && closed:
			file = &fstest.MapFile{Mode: 0o444}
			tree[name] = file
		case file != nil:
			file.Data = append(file.Data, line...)
		}
	}
	return tree
}

// with returns tree with some files replaced; "" removes one.
func with(tree fstest.MapFS, files map[string]string) fstest.MapFS {
	for name, content := range files {
		if delete(tree, name); content != "" {
			tree[name] = &fstest.MapFile{Data: []byte(content), Mode: 0o444}
		}
	}
	return tree
}
