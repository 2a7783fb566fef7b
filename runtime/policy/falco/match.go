package falco

import (
	"encoding/hex"
	"net/netip"
	"path"
	"regexp"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/falco"
)

// predicate reports whether an event has a property.
type predicate func(*Event) bool

// compile returns the predicate of a condition.
func compile(x falco.Expr) predicate {
	switch x := x.(type) {
	case falco.Const:
		v := bool(x)
		return func(*Event) bool { return v }
	case *falco.And:
		parts := compileAll(x.List)
		return func(e *Event) bool {
			for _, p := range parts {
				if !p(e) {
					return false
				}
			}
			return true
		}
	case *falco.Or:
		parts := compileAll(x.List)
		return func(e *Event) bool {
			for _, p := range parts {
				if p(e) {
					return true
				}
			}
			return false
		}
	case *falco.Not:
		p := compile(x.X)
		return func(e *Event) bool { return !p(e) }
	case *falco.Check:
		return compileCheck(x)
	}
	return func(*Event) bool { return false }
}

func compileAll(list []falco.Expr) (out []predicate) {
	for _, x := range list {
		out = append(out, compile(x))
	}
	return out
}

// compileCheck returns the predicate of a comparison. It is false if the left side has no
// value.
func compileCheck(c *falco.Check) predicate {
	get := getterOf(c.Left)
	if c.Op == "exists" {
		return func(e *Event) bool {
			d := get(e)
			return d.kind != missing && (d.kind != isList || len(*d.list) > 0)
		}
	}
	if f := c.Left.Field; f != nil && strings.HasSuffix(f.Name, "ip.name") {
		return compileName(c, get)
	}
	of, _ := c.Left.TypeOf()
	var test func(d, right datum) bool
	var right getter
	if c.Right != nil {
		right = getterOf(c.Right)
		test = func(d, r datum) bool {
			var texts []string
			for _, v := range flat(r) {
				texts = append(texts, v.String())
			}
			return len(texts) > 0 && tester(c.Op, c.Mod, of, texts)(d)
		}
	} else {
		t := tester(c.Op, c.Mod, of, c.Texts)
		test = func(d, _ datum) bool { return t(d) }
		right = func(*Event) datum { return datum{} }
	}
	field := c.Left.Field
	any := field != nil && field.Any && !c.Left.HasArg
	// "fd.ip != x" means that neither end is x.
	both := any && c.Op == "!=" && strings.HasPrefix(field.Name, "fd.")
	whole := c.Op == "in" && !any
	return func(e *Event) bool {
		d := get(e)
		switch d.kind {
		case missing:
			return false
		case isList:
			r := right(e)
			for _, x := range *d.list {
				if ok := test(x, r); ok != (both || whole) {
					return ok
				}
			}
			return whole || both && len(*d.list) > 0
		}
		return test(d, right(e))
	}
}

func flat(d datum) []datum {
	switch d.kind {
	case missing:
		return nil
	case isList:
		return *d.list
	}
	return []datum{d}
}

// tester returns a function that compares a value that is not a list with texts. If the
// operator compares with a single text, mod determines how many texts have to match.
func tester(op, mod string, of falco.Type, texts []string) func(datum) bool {
	switch {
	case mod != "":
		var parts []func(datum) bool
		for _, t := range texts {
			parts = append(parts, tester(op, "", of, []string{t}))
		}
		return func(d datum) bool {
			n := 0
			for _, p := range parts {
				if p(d) {
					n++
				}
			}
			switch mod {
			case "oneof":
				return n == 1
			case "allof":
				return n > 0 && n == len(parts)
			}
			return n > 0
		}
	case of == falco.Text:
		match := textTester(op, texts)
		return func(d datum) bool { return match(d.String()) }
	case of == falco.Address, of == falco.Network:
		return addressTester(op, of, texts)
	}
	return numberTester(op, of, texts)
}

func textTester(op string, texts []string) func(string) bool {
	first := ""
	if len(texts) > 0 {
		first = texts[0]
	}
	switch op {
	case "=":
		return func(s string) bool { return s == first }
	case "!=":
		return func(s string) bool { return s != first }
	case "<":
		return func(s string) bool { return s < first }
	case "<=":
		return func(s string) bool { return s <= first }
	case ">":
		return func(s string) bool { return s > first }
	case ">=":
		return func(s string) bool { return s >= first }
	case "contains":
		return func(s string) bool { return strings.Contains(s, first) }
	case "icontains":
		low := strings.ToLower(first)
		return func(s string) bool { return strings.Contains(strings.ToLower(s), low) }
	case "startswith":
		return func(s string) bool { return strings.HasPrefix(s, first) }
	case "endswith":
		return func(s string) bool { return strings.HasSuffix(s, first) }
	case "bcontains", "bstartswith":
		raw, _ := hex.DecodeString(first) // already checked
		if op == "bcontains" {
			return func(s string) bool { return strings.Contains(s, string(raw)) }
		}
		return func(s string) bool { return strings.HasPrefix(s, string(raw)) }
	case "glob", "iglob":
		if re, err := falco.GlobRegexp(first, op == "iglob"); err == nil {
			return re.MatchString
		}
	case "regex":
		if re, err := regexp.Compile("^(?:" + first + ")$"); err == nil {
			return re.MatchString
		}
	case "in", "intersects":
		set := make(map[string]bool, len(texts))
		for _, t := range texts {
			set[t] = true
		}
		return func(s string) bool { return set[s] }
	case "pmatch":
		return pathTester(texts)
	}
	return func(string) bool { return false }
}

// pathTester returns a function that reports whether one of several paths is the path of
// a file, or of a directory above it.
func pathTester(prefixes []string) func(string) bool {
	set := map[string]bool{}
	var patterns [][]string
	for _, p := range prefixes {
		if p == "" {
			continue
		}
		p = path.Clean(p)
		if strings.ContainsAny(p, "*?[") {
			patterns = append(patterns, strings.Split(p, "/"))
		} else {
			set[p] = true
		}
	}
	return func(s string) bool {
		if s == "" {
			return false
		}
		s = path.Clean(s)
		if set["/"] && s[0] == '/' {
			return true
		}
		for p := s; p != "." && p != "/"; p = path.Dir(p) {
			if set[p] {
				return true
			}
		}
		parts := strings.Split(s, "/")
	next:
		for _, pattern := range patterns {
			if len(pattern) > len(parts) {
				continue
			}
			for i := range pattern {
				if ok, err := path.Match(pattern[i], parts[i]); !ok || err != nil {
					continue next
				}
			}
			return true
		}
		return false
	}
}

func numberTester(op string, of falco.Type, texts []string) func(datum) bool {
	var numbers []int64
	for _, t := range texts {
		var n int64
		switch of {
		case falco.Port:
			n, _ = falco.ParsePort(t) // already checked
		case falco.Decimal:
			n, _ = falco.ParseDecimal(t)
		case falco.Bool:
			if b, _ := falco.ParseBool(t); b {
				n = 1
			}
		default:
			n, _ = falco.ParseNumber(t)
		}
		numbers = append(numbers, n)
	}
	if op == "in" || op == "intersects" {
		set := map[int64]bool{}
		for _, n := range numbers {
			set[n] = true
		}
		return func(d datum) bool { return set[d.n] }
	}
	if len(numbers) == 0 {
		return func(datum) bool { return false }
	}
	n := numbers[0]
	switch op {
	case "=":
		return func(d datum) bool { return d.n == n }
	case "!=":
		return func(d datum) bool { return d.n != n }
	case "<":
		return func(d datum) bool { return d.n < n }
	case "<=":
		return func(d datum) bool { return d.n <= n }
	case ">":
		return func(d datum) bool { return d.n > n }
	case ">=":
		return func(d datum) bool { return d.n >= n }
	}
	return func(datum) bool { return false }
}

func addressTester(op string, of falco.Type, texts []string) func(datum) bool {
	var nets []netip.Prefix
	for _, t := range texts {
		if p, err := falco.ParseNetwork(t); err == nil {
			nets = append(nets, p)
		}
	}
	inside := func(d datum) bool {
		for _, p := range nets {
			if p.Contains(d.addr().Unmap()) {
				return true
			}
		}
		return false
	}
	if op == "!=" {
		return func(d datum) bool { return !inside(d) }
	}
	return inside
}

// compileName returns the predicate of a comparison with the name of a host. It compares
// the addresses of the host.
func compileName(c *falco.Check, get getter) predicate {
	negative := c.Op == "!="
	switch c.Op {
	case "=", "!=", "in", "intersects":
	default:
		// Names of addresses are known only if a rule names them.
		test := tester(c.Op, c.Mod, falco.Text, c.Texts)
		return func(e *Event) bool {
			d := get(e)
			return d.kind != missing && test(text(e.hosts.name(d.addr())))
		}
	}
	return func(e *Event) bool {
		d := get(e)
		if d.kind == missing {
			return false
		}
		for _, name := range c.Texts {
			if e.hosts.has(name, d.addr()) {
				return !negative
			}
		}
		return negative
	}
}
