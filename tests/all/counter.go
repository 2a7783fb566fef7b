package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// counter parses the events of "go test -json", which are written to it, and
// counts the tests that have no subtests. A table test thus counts once for
// each row.
type counter struct {
	rest   []byte
	result map[string]string           // test → pass, fail, skip, or run if it has not ended
	took   map[string]float64          // test → seconds
	output map[string]*strings.Builder // test, or package and a space → its output
	stray  strings.Builder             // output that is not an event
	broken []string                    // packages that failed

	buildFailed map[string]bool
}

func newCounter() *counter {
	return &counter{result: map[string]string{}, took: map[string]float64{}, output: map[string]*strings.Builder{}, buildFailed: map[string]bool{}}
}

func (c *counter) Write(p []byte) (int, error) {
	c.rest = append(c.rest, p...)
	for {
		line, rest, ok := bytes.Cut(c.rest, []byte("\n"))
		if !ok {
			return len(p), nil
		}
		c.line(line)
		c.rest = rest
	}
}

func (c *counter) line(line []byte) {
	var e struct {
		Action, Package, ImportPath, Test, Output string
		Elapsed                                   float64
	}
	if json.Unmarshal(line, &e) != nil {
		fmt.Fprintf(&c.stray, "%s\n", line)
		return
	}
	name := e.Package + " " + e.Test // the package itself has a space at the end
	switch e.Action {
	case "output", "build-output":
		if e.ImportPath != "" { // of a build
			name = e.ImportPath + " "
		}
		b := c.output[name]
		if b == nil {
			b = &strings.Builder{}
			c.output[name] = b
		}
		b.WriteString(e.Output)
	case "build-fail":
		c.buildFailed[e.ImportPath] = true
	case "run":
		c.result[name] = e.Action
	case "pass", "fail", "skip":
		if e.Test != "" {
			c.result[name], c.took[name] = e.Action, e.Elapsed
		} else if e.Action == "fail" {
			c.broken = append(c.broken, e.Package)
		}
	}
}

// leaves returns the tests that have no subtests, in order.
func (c *counter) leaves() []string {
	parents := map[string]bool{}
	for name := range c.result {
		for i := range name {
			if name[i] == '/' {
				parents[name[:i]] = true
			}
		}
	}
	return slices.Sorted(func(yield func(string) bool) {
		for name := range maps.Keys(c.result) {
			if !parents[name] && !yield(name) {
				return
			}
		}
	})
}

func (c *counter) totals() (passed, failed, skipped int) {
	for _, name := range c.leaves() {
		switch c.result[name] {
		case "pass":
			passed++
		case "fail", "run":
			failed++
		case "skip":
			skipped++
		}
	}
	if failed == 0 { // a build, a TestMain, or a parent outside of its subtests
		failed = len(c.broken)
	}
	return passed, failed, skipped
}

// failures returns the output of the tests that failed or did not end, and the output
// outside of tests.
func (c *counter) failures() string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(c.result)) {
		result, out := c.result[name], c.output[name]
		if (result == "fail" || result == "run") && out != nil {
			b.WriteString(out.String())
		}
		if result == "run" {
			fmt.Fprintf(&b, "%s did not end\n", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.output)) {
		if out := c.output[name]; strings.HasSuffix(name, " ") && c.isBroken(strings.Fields(name)[0]) {
			b.WriteString(out.String())
		}
	}
	b.WriteString(c.stray.String())
	return b.String()
}

// isBroken reports whether a package, or a package built for its test, has
// failed.
func (c *counter) isBroken(path string) bool {
	return slices.ContainsFunc(c.broken, func(p string) bool { return p == path || p == "" }) || c.buildFailed[path]
}

// skipReasons returns the skipped tests, grouped by reason.
func (c *counter) skipReasons() []string {
	why := map[string][]string{}
	for _, name := range c.leaves() {
		if c.result[name] != "skip" {
			continue
		}
		_, test, _ := strings.Cut(name, " ")
		reason := "without a reason"
		if out := c.output[name]; out != nil {
			for line := range strings.Lines(out.String()) {
				if _, r, ok := strings.Cut(line, ".go:"); ok {
					if _, r, ok = strings.Cut(r, ": "); ok {
						reason = strings.TrimSpace(r)
					}
				}
			}
		}
		why[reason] = append(why[reason], test)
	}
	var out []string
	for _, reason := range slices.Sorted(maps.Keys(why)) {
		out = append(out, fmt.Sprintf("%d (%s): %s", len(why[reason]), reason, strings.Join(why[reason], " ")))
	}
	return out
}

// slowest returns the n tests, without those that are subtests, that took longest.
func (c *counter) slowest(n int) []string {
	tests := slices.Collect(maps.Keys(c.took))
	tests = slices.DeleteFunc(tests, func(name string) bool { return strings.Contains(name[strings.LastIndex(name, " "):], "/") })
	slices.SortFunc(tests, func(a, b string) int { return cmp.Or(cmp.Compare(c.took[b], c.took[a]), cmp.Compare(a, b)) })
	var out []string
	for _, name := range tests[:min(n, len(tests))] {
		out = append(out, fmt.Sprintf("%6.1fs %s", c.took[name], name))
	}
	return out
}
