// Package cases reads files of test cases, and with -update rewrites their
// expected results. All case files of the project have this format.
//
// A file is a txtar archive (golang.org/x/tools/txtar) of any number of cases.
// A case is a sequence of sections: a test reads some of them, and compares its
// results with the others.
//
//	# What the cases have in common.
//	flags: warnings
//
//	-- case the sum of two --
//	work: ramp 10
//	-- script --
//	begin { print(1 + 2); }
//	-- stdout --
//	3
//
// A section "case NAME" starts a case and holds its headers, lines of the form
// "key: value". Lines that start with # are comments. The text before the first
// section has the same form; its headers apply to every case.
//
// A case without a name and headers needs no such section: a section whose name the
// current case already has starts the next case. Such a case is called "line N" or, if
// it is the only one, by the name of its file.
//
// Blank lines at the end of a section are not part of it: every section ends
// with a single newline.
package cases

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/tools/txtar"
)

// Update makes tests record their results as the expected ones instead of comparing
// them.
var Update = flag.Bool("update", false, "record the current results as the expected results of the cases")

// File is a file of cases.
type File struct {
	Path  string
	Cases []*Case

	comment []byte
	mu      sync.Mutex // held while a case is recorded
}

// Case is one test case.
type Case struct {
	Name string
	At   string // its start: path:line

	file     *File
	start    *txtar.File // its section "case NAME", or nil
	headers  []header
	sections []Section
	inputs   map[string]bool // the sections that Input has returned
}

// Section is a part of a case.
type Section struct{ Name, Text string }

type header struct{ key, value string }

// Glob reads the files that match pattern. It fails the test if there are none.
// The cases may have headers with the given keys and no others.
func Glob(t testing.TB, pattern string, keys ...string) []*File {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no cases: %s matches nothing %v", pattern, err)
	}
	var files []*File
	for _, path := range paths {
		files = append(files, Read(t, path, keys...))
	}
	return files
}

// Each runs test for each case of the files that match pattern. The cases may have headers
// with the given keys and no others.
func Each(t *testing.T, pattern string, keys []string, test func(*testing.T, *Case)) {
	for _, f := range Glob(t, pattern, keys...) {
		for _, c := range f.Cases {
			t.Run(c.Name, func(t *testing.T) { test(t, c) })
		}
	}
}

// Seed gives a section of each case of the files that match pattern to a fuzz target.
func Seed(f *testing.F, pattern, section string, keys ...string) {
	for _, file := range Glob(f, pattern, keys...) {
		for _, c := range file.Cases {
			f.Add(c.Input(f, section))
		}
	}
}

// Read reads a file. Its cases may have headers with the given keys and no
// others.
func Read(t testing.TB, path string, keys ...string) *File {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Parse(path, text, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// Parse parses the text of a file. Its cases may have headers with the given
// keys and no others.
func Parse(path string, text []byte, keys ...string) (*File, error) {
	a := txtar.Parse(text)
	f := &File{Path: path, comment: a.Comment}
	common, err := parseHeaders(path, 1, a.Comment, keys)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	var c *Case
	line := 1 + strings.Count(string(a.Comment), "\n")
	for i, s := range a.Files {
		kind, name, _ := strings.Cut(s.Name, " ")
		first := kind == "case"
		if first || c == nil || c.has(s.Name) {
			c = &Case{At: fmt.Sprintf("%s:%d", path, line), Name: fmt.Sprintf("line %d", line), headers: common, file: f, inputs: map[string]bool{}}
			f.Cases = append(f.Cases, c)
		}
		if first {
			own, err := parseHeaders(path, line+1, s.Data, keys)
			if err != nil {
				return nil, err
			}
			c.start, c.headers = &a.Files[i], slices.Concat(common, own)
			if name != "" {
				c.Name = name
			}
			if names[c.Name] {
				return nil, fmt.Errorf("%s: a second case is named %q", c.At, c.Name)
			}
			names[c.Name] = true
		} else {
			c.sections = append(c.sections, Section{s.Name, trimmed(string(s.Data))})
		}
		line += 1 + strings.Count(string(s.Data), "\n")
	}
	for _, c := range f.Cases {
		if len(c.sections) == 0 {
			return nil, fmt.Errorf("%s: the case has no section", c.At)
		}
	}
	switch {
	case len(f.Cases) == 0:
		return nil, fmt.Errorf("%s: no cases", path)
	case len(f.Cases) == 1 && f.Cases[0].start == nil:
		base := filepath.Base(path)
		f.Cases[0].Name = strings.TrimSuffix(base, filepath.Ext(base))
	}
	return f, nil
}

// parseHeaders parses lines of the form "key: value". n is the number of the
// first line in the file.
func parseHeaders(path string, n int, text []byte, keys []string) ([]header, error) {
	var out []header
	var errs []error
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			key, value, ok := strings.Cut(line, ":")
			if !ok || !slices.Contains(keys, key) {
				errs = append(errs, fmt.Errorf("%s:%d: %q is not a header: want KEY: VALUE with one of the keys %q, or # and a comment", path, n, line, keys))
			}
			out = append(out, header{key, strings.TrimSpace(value)})
		}
		n++
	}
	return out, errors.Join(errs...)
}

// trimmed returns text with exactly one newline at its end, or "" if text consists of
// newlines.
func trimmed(text string) string {
	if text = strings.TrimRight(text, "\n"); text == "" {
		return ""
	}
	return text + "\n"
}

func (c *Case) index(name string) int {
	return slices.IndexFunc(c.sections, func(s Section) bool { return s.Name == name })
}

func (c *Case) has(name string) bool { return c.index(name) >= 0 }

// Header returns the value of the last header with the key, or "" if there is
// none.
func (c *Case) Header(key string) string {
	if all := c.Headers(key); len(all) > 0 {
		return all[len(all)-1]
	}
	return ""
}

// Headers returns the values of all headers with the key.
func (c *Case) Headers(key string) []string {
	var out []string
	for _, h := range c.headers {
		if h.key == key {
			out = append(out, h.value)
		}
	}
	return out
}

// Section returns the text of a section, or "" if the case has none of that
// name.
func (c *Case) Section(name string) string {
	if i := c.index(name); i >= 0 {
		return c.sections[i].Text
	}
	return ""
}

// Input returns the text of a section that the case must have. Check does not
// compare the section.
func (c *Case) Input(t testing.TB, name string) string {
	t.Helper()
	if !c.has(name) {
		t.Fatalf("%s: the case has no section %q", c.At, name)
	}
	c.inputs[name] = true
	return c.Section(name)
}

// Check compares the sections that are not inputs with got, in any order. It
// ignores sections without text. With -update it records got instead.
func (c *Case) Check(t testing.TB, got ...Section) {
	t.Helper()
	var now []Section
	for _, s := range got {
		if text := trimmed(s.Text); text != "" {
			now = append(now, Section{s.Name, text})
		}
	}
	if *Update {
		c.record(t, now)
		return
	}
	made := map[string]bool{}
	for _, s := range now {
		made[s.Name] = true
		switch want := c.Section(s.Name); {
		case !c.has(s.Name):
			t.Errorf("%s: section %q is not there; it should be:\n%s", c.At, s.Name, s.Text)
		case want != s.Text:
			t.Errorf("%s: section %q (- recorded, + now):\n%s", c.At, s.Name, Difference(want, s.Text))
		}
	}
	for _, s := range c.sections {
		if !made[s.Name] && !c.inputs[s.Name] && s.Text != "" {
			t.Errorf("%s: section %q is no longer produced", c.At, s.Name)
		}
	}
}

// record replaces the sections that are not inputs by got and writes the file.
func (c *Case) record(t testing.TB, got []Section) {
	t.Helper()
	c.file.mu.Lock()
	defer c.file.mu.Unlock()
	c.sections = slices.DeleteFunc(c.sections, func(s Section) bool { return !c.inputs[s.Name] })
	c.sections = append(c.sections, got...)
	if err := os.WriteFile(c.file.Path, c.file.format(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// format returns the text of the file, with a blank line between cases.
func (f *File) format() []byte {
	a := &txtar.Archive{Comment: f.comment}
	for i, c := range f.Cases {
		if c.start != nil {
			a.Files = append(a.Files, *c.start)
		}
		for _, s := range c.sections {
			a.Files = append(a.Files, txtar.File{Name: s.Name, Data: []byte(s.Text)})
		}
		if i < len(f.Cases)-1 {
			last := &a.Files[len(a.Files)-1]
			last.Data = append(last.Data, '\n')
		}
	}
	return txtar.Format(a)
}
