package falco

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// longName returns a condition that is true if $n may not have the whole path, or if the
// path may start or end differently from its text.
func (f *filter) longName() string {
	return f.test(`(strlen($n) > 250 || $n endswith (".", "/") || $n == "")`)
}

// openedPath returns the condition under which a comparison with the path of an opened file
// may be true. $n is the path as the process passed it.
func (f *filter) openedPath(c *Check) string {
	if len(c.Texts) == 0 || len(c.Texts) > 200 {
		return unknown
	}
	for _, t := range c.Texts {
		if t == "" || len(t) > maxLiteral || strings.IndexByte(t, 0) >= 0 {
			return unknown
		}
	}
	field := c.Left.Field.Name
	switch {
	case field == "fd.nameraw":
		switch c.Op {
		case "=", "in", "startswith", "endswith", "contains":
			if x, ok := comparisonOf("$n", &Check{Op: c.Op, Texts: c.Texts}, maxLiteral); ok && len(c.Texts) == 1 || c.Op == "in" {
				return "(" + x + " || " + f.test("strlen($n) > 250") + ")"
			}
		}
		return unknown
	case field == "fd.filename" && (c.Op == "=" || c.Op == "in"):
		return f.lastNames(c.Texts)
	case field == "fd.name" && (c.Op == "=" || c.Op == "in"):
		return f.lastNames(c.Texts)
	case field == "fd.name" && c.Op == "endswith", field == "fd.filename" && c.Op == "endswith":
		return f.suffix(c.Texts)
	case field == "fd.name" && c.Op == "startswith" && len(c.Texts) == 1:
		return "(" + f.test("$n startswith "+source.Quote(c.Texts[0])) + " || " + f.test(`(!($n startswith "/") || $n contains ("/.", "//") || strlen($n) > 250)`) + ")"
	case field == "fd.directory" && (c.Op == "=" || c.Op == "in"):
		return f.directories(c.Texts)
	}
	return unknown
}

// lastNames returns the condition under which the last name of the path may be that of one
// of several paths.
func (f *filter) lastNames(paths []string) string {
	var ends, whole []string
	for _, p := range paths {
		base := path.Base(p)
		if base == "/" || base == "." {
			return unknown
		}
		ends, whole = append(ends, source.Quote("/"+base)), append(whole, source.Quote(base))
	}
	return "(" + f.test("($n endswith ("+strings.Join(ends, ", ")+") || $n in ("+strings.Join(whole, ", ")+"))") + " || " + f.longName() + ")"
}

// suffix returns the condition under which the path may end with one of several texts.
func (f *filter) suffix(texts []string) string {
	var parts []string
	for _, t := range texts {
		parts = append(parts, source.Quote(t[strings.LastIndexByte(t, '/')+1:]))
		if strings.HasSuffix(t, "/") {
			return unknown
		}
	}
	return "(" + f.test("$n contains ("+strings.Join(parts, ", ")+")") + " || " + f.longName() + ")"
}

// directories returns the condition under which the path may be directly in one of
// several directories. A path without a slash is in the directory that the call starts
// from.
func (f *filter) directories(dirs []string) string {
	var names, slashed []string
	for _, d := range dirs {
		base := path.Base(path.Clean(d))
		if base == "/" || base == "." {
			return unknown
		}
		names, slashed = append(names, source.Quote(base)), append(slashed, source.Quote(base+"/"))
	}
	in := strings.Join(names, ", ")
	return "(" + f.test("$n contains ("+strings.Join(slashed, ", ")+")") + " || " + f.test(`$n contains ("..", "//", "/./")`) + " || " + f.longName() + " || " +
		f.test(`(!($n contains "/") || $n startswith "./")`) + " && ($at == -100 ? __fc_cwd() : __fc_base($at)) in (" + in + "))"
}

// test returns a mark that stands for a test of the path. Such tests are expensive, and
// rules often share them.
func (f *filter) test(x string) string {
	i := slices.Index(f.tests, x)
	if i < 0 {
		i = len(f.tests)
		f.tests = append(f.tests, x)
	}
	return fmt.Sprintf("\x01%d\x01", i) // a literal of the language contains no \x01
}

// inline returns a condition with the tests of the path in place of their marks.
func (f *filter) inline(x string) string {
	for i, test := range f.tests {
		x = strings.ReplaceAll(x, fmt.Sprintf("\x01%d\x01", i), test)
	}
	return x
}

// shared returns the condition under which a rule of w may be true, with variables for
// tests of the path that it has several times, and the statements that set them.
func shared(w *Watched) (set, x string) {
	f := filter{event: w.Event, names: true}
	x = f.of(w)
	for i, test := range f.tests {
		mark := fmt.Sprintf("\x01%d\x01", i)
		if strings.Count(x, mark) > 1 {
			set += fmt.Sprintf("  $n%d = %s;\n", i, test)
			x = strings.ReplaceAll(x, mark, fmt.Sprintf("$n%d", i))
		}
	}
	return set, f.inline(x)
}
