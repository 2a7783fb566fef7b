package falco

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
)

// filter writes conditions that programs test before they report an event. Such a condition
// is true for all events for which a rule may be true, and possibly for others. A part that
// a program cannot evaluate counts as true.
type filter struct {
	event *Event
	names bool     // also test the path that is opened, $n
	tests []string // of that path; see test
}

// unknown is a condition that a program cannot evaluate.
const unknown = ""

// maxParts is the maximum number of parts of a list that programs test. maxFilter is the
// maximum size in bytes of the text of a filter. If a condition exceeds them, all events
// are reported.
const (
	maxParts  = 4096
	maxFilter = 64 << 10
)

// filterOf returns the condition under which a rule of w may be true, or unknown.
func filterOf(w *Watched, names bool) string {
	f := filter{event: w.Event, names: names}
	return f.inline(f.of(w))
}

// of returns the condition under which a rule of w may be true, with marks for tests of the
// path, or unknown.
func (f *filter) of(w *Watched) string {
	var parts []string
	for _, r := range w.Rules {
		x := f.may(r.Condition, true)
		if x == unknown {
			return unknown
		}
		if !policy.Among(parts, x) {
			parts = append(parts, x)
		}
	}
	if x := strings.Join(parts, " || "); len(f.inline(x)) <= maxFilter {
		return x
	}
	return unknown
}

// may returns the condition under which x may be equal to want.
func (f *filter) may(x Expr, want bool) string {
	switch x := x.(type) {
	case Const:
		if bool(x) != want {
			return "0"
		}
	case *Not:
		return f.may(x.X, !want)
	case *And:
		return f.join(x.List, want, want)
	case *Or:
		return f.join(x.List, want, !want)
	case *Check:
		if want {
			return f.check(x)
		}
		if y, exact := f.exact(x); exact {
			return "!(" + y + ")"
		}
	}
	return unknown
}

// join returns the condition that all parts of a list are true, or one of them.
func (f *filter) join(list []Expr, want, all bool) string {
	if len(list) > maxParts {
		return unknown
	}
	var parts []string
	seen := map[string]bool{unknown: true}
	for _, x := range list {
		y := f.may(x, want)
		if y == unknown && !all {
			return unknown
		}
		if !seen[y] {
			seen[y] = true
			parts = append(parts, y)
		}
	}
	if len(parts) == 0 {
		return unknown
	}
	op := " || "
	if all {
		op = " && "
	}
	return "(" + strings.Join(parts, op) + ")"
}

// check returns the condition under which a comparison may be true.
func (f *filter) check(c *Check) string {
	if x, ok := f.exact(c); ok {
		return x
	}
	field := c.Left.Field
	if field == nil || c.Right != nil || c.Mod == "allof" {
		return unknown
	}
	switch field.Name {
	case "evt.res":
		switch {
		case len(c.Texts) != 1:
		case c.Op == "startswith" && c.Texts[0] == "E":
			return "args.ret < 0"
		case c.Op == "=" && c.Texts[0] == "SUCCESS":
			return "args.ret >= 0"
		case c.Op == "=" && strings.HasPrefix(c.Texts[0], "E"):
			return "args.ret < 0"
		}
	case "evt.arg":
		return f.param(c)
	case "fd.typechar":
		return f.kind(c)
	case "fd.name", "fd.directory", "fd.filename", "fd.nameraw":
		if f.names && f.event.openName() >= 0 {
			return f.openedPath(c)
		}
	}
	return unknown
}

// exact returns a condition that is equivalent to a comparison of a value that always
// exists.
func (f *filter) exact(c *Check) (string, bool) {
	field := c.Left.Field
	if field == nil || c.Right != nil || c.Mod != "" || c.Op == "exists" {
		return "", false
	}
	switch field.Name {
	case "proc.name":
		return comparisonOf("comm", c, maxComm)
	case "evt.rawres":
		return numbers("args.ret", c)
	case "fd.num":
		if f.event.Creates {
			return numbers("(args.ret < 0 ? -1 : args.ret)", c)
		}
	case "user.uid":
		return numbers("curtask.cred.euid.val", c)
	case "proc.pid":
		return numbers("curtask.tgid", c)
	case "evt.is_open_read", "evt.is_open_write":
		flags := f.event.flags()
		if flags == "" || c.Op != "=" && c.Op != "!=" {
			return "", false
		}
		want, err := ParseBool(c.Texts[0])
		if err != nil {
			return "", false
		}
		x := "(" + flags + " & 1) == 0"
		if field.Name == "evt.is_open_write" {
			x = "(" + flags + " & 3) in (1, 2)"
		}
		if want != (c.Op == "=") {
			x = "!(" + x + ")"
		}
		return x, true
	}
	return "", false
}

// maxComm is the maximum length of the name of a thread, in bytes.
const maxComm = 15

// flags returns the expression of the flags of a call that opens a file, or "".
func (e *Event) flags() string {
	switch e.Name {
	case "open":
		return "syscall_arg(1)"
	case "openat", "open_by_handle_at":
		return "syscall_arg(2)"
	case "openat2":
		return "*(uint64*)syscall_arg(2)"
	}
	return ""
}

// openName returns the argument with the path of a call that opens a file, or -1.
func (e *Event) openName() int {
	switch e.Name {
	case "open", "creat":
		return 0
	case "openat", "openat2":
		return 1
	}
	return -1
}

// numbers returns a comparison of an integer.
func numbers(left string, c *Check) (string, bool) {
	if len(c.Texts) > maxParts {
		return "", false
	}
	var list []string
	for _, t := range c.Texts {
		n, err := ParseNumber(t)
		if err != nil {
			return "", false
		}
		list = append(list, strconv.FormatInt(n, 10))
	}
	switch {
	case len(list) == 0:
		return "0", true
	case c.Op == "in":
		var parts []string
		for _, n := range list {
			parts = append(parts, left+" == "+n)
		}
		return "(" + strings.Join(parts, " || ") + ")", true
	case c.Op == "=":
		return left + " == " + list[0], true
	}
	return left + " " + c.Op + " " + list[0], true
}

// maxLiteral is the maximum length of a text that programs compare with.
const maxLiteral = 100

// comparisonOf returns a comparison of a string of at most size bytes.
func comparisonOf(left string, c *Check, size int) (string, bool) {
	if len(c.Texts) > maxParts {
		return "", false
	}
	var list []string
	for _, t := range c.Texts {
		switch {
		case len(t) > maxLiteral || strings.IndexByte(t, 0) >= 0:
			return "", false
		case len(t) <= size:
			list = append(list, source.Quote(t))
		}
	}
	switch c.Op {
	case "=", "in", "intersects":
		if len(list) == 0 {
			return "0", true
		}
		return left + " in (" + strings.Join(list, ", ") + ")", true
	case "!=":
		if len(list) == 0 {
			return "1", true
		}
		return left + " != " + list[0], true
	case "startswith", "endswith", "contains":
		if len(list) == 0 || c.Texts[0] == "" {
			return "", false
		}
		return left + " " + c.Op + " " + list[0], true
	}
	return "", false
}

// param returns the condition for a parameter whose text is made of names.
func (f *filter) param(c *Check) string {
	p := f.event.param(c.Left.Arg)
	if p == nil || p.Kind != Flags && p.Kind != Enum || len(p.Src) != 2 || p.Src[0] != 'a' || strings.Trim(c.Texts0(), "0123456789") == "" {
		return unknown
	}
	var match func(name string) bool
	switch c.Op {
	case "=", "in":
		match = func(name string) bool { return policy.Among(c.Texts, name) }
	case "contains":
		match = func(name string) bool {
			return slices.ContainsFunc(c.Texts, func(t string) bool { return strings.Contains(name, t) })
		}
	case "startswith":
		match = func(name string) bool {
			return slices.ContainsFunc(c.Texts, func(t string) bool { return strings.HasPrefix(name, t) })
		}
	}
	if match == nil || p.Kind == Flags && (c.Op != "contains" || strings.Contains(c.Texts0(), "|")) {
		return unknown
	}
	var parts []string
	for _, n := range Names.Get()[p.Table] {
		switch {
		case !match(n.Name):
		case p.Kind == Enum:
			parts = append(parts, fmt.Sprintf("(uint32)syscall_arg(%c) == %d", p.Src[1], n.Value))
		case n.Value == 0:
			return unknown
		default:
			parts = append(parts, fmt.Sprintf("(syscall_arg(%c) & %d) != 0", p.Src[1], n.Value))
		}
	}
	if len(parts) == 0 {
		return unknown
	}
	return "(" + strings.Join(parts, " || ") + ")"
}

// Texts0 returns the first value, or "".
func (c *Check) Texts0() string {
	if len(c.Texts) == 0 {
		return ""
	}
	return c.Texts[0]
}

// kind returns the condition for the kind of a descriptor.
func (f *filter) kind(c *Check) string {
	if c.Op != "=" && c.Op != "in" {
		return unknown
	}
	switch flags := f.event.flags(); {
	case flags != "" && len(c.Texts) == 1 && c.Texts[0] == "f":
		return "(" + flags + " & 0x10000) == 0"
	case f.event.Name == "connect" && !slices.ContainsFunc(c.Texts, func(t string) bool { return t != "4" && t != "6" }):
		return "*(uint16*)syscall_arg(1) in (2, 10)"
	}
	return unknown
}
