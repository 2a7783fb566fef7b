package falco

import (
	"encoding/hex"
	"fmt"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"

	"github.com/gotrace/gotrace/lang/policy/falco"
)

// modelOps are the operators of conditions with their meaning for two texts.
var modelOps = map[string]func(left, right string) bool{
	"=":           func(l, r string) bool { return l == r },
	"==":          func(l, r string) bool { return l == r },
	"!=":          func(l, r string) bool { return l != r },
	"<":           func(l, r string) bool { return l < r },
	"<=":          func(l, r string) bool { return l <= r },
	">":           func(l, r string) bool { return l > r },
	">=":          func(l, r string) bool { return l >= r },
	"contains":    strings.Contains,
	"icontains":   func(l, r string) bool { return strings.Contains(strings.ToLower(l), strings.ToLower(r)) },
	"startswith":  strings.HasPrefix,
	"endswith":    strings.HasSuffix,
	"bcontains":   func(l, r string) bool { return strings.Contains(l, unhex(r)) },
	"bstartswith": func(l, r string) bool { return strings.HasPrefix(l, unhex(r)) },
	"glob":        func(l, r string) bool { return modelGlob(r, l) },
	"iglob":       func(l, r string) bool { return modelGlob(strings.ToLower(r), strings.ToLower(l)) },
	"regex":       func(l, r string) bool { return regexp.MustCompile("^(?:" + r + ")$").MatchString(l) },
	"in":          func(l, r string) bool { return l == r },
	"intersects":  func(l, r string) bool { return l == r },
	"pmatch": func(l, r string) bool {
		if l == "" || r == "" {
			return false
		}
		l, r = path.Clean(l), path.Clean(r)
		return l == r || r == "/" && strings.HasPrefix(l, "/") || strings.HasPrefix(l, r+"/")
	},
}

func unhex(s string) string {
	b, _ := hex.DecodeString(s)
	return string(b)
}

// modelGlob reports whether a text has the form of a pattern with * and ?.
func modelGlob(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		for i := 0; i <= len(s); i++ {
			if modelGlob(pattern[1:], s[i:]) {
				return true
			}
		}
		return false
	case s == "":
		return false
	case pattern[0] == '?' || pattern[0] == s[0]:
		return modelGlob(pattern[1:], s[1:])
	}
	return false
}

// modelNumber compares two numbers.
func modelNumber(op string, l, r int64) bool {
	switch op {
	case "=", "==", "in", "intersects":
		return l == r
	case "!=":
		return l != r
	case "<":
		return l < r
	case "<=":
		return l <= r
	case ">":
		return l > r
	}
	return l >= r
}

// rightSides returns values to compare the value of a field with, by its type.
func rightSides(f *falco.Field, d datum, op string) []string {
	switch f.Type {
	case falco.Number:
		return []string{strconv.FormatInt(d.n, 10), strconv.FormatInt(d.n-1, 10), strconv.FormatInt(d.n+1, 10), "0x7fffffff"}
	case falco.Port:
		return []string{"22", "0"}
	case falco.Bool:
		return []string{"true", "false"}
	case falco.Address:
		return []string{"10.1.2.3", "fe80::1"}
	case falco.Network:
		return []string{"10.0.0.0/8", "fe80::/16"}
	}
	s := d.String()
	half := s[:len(s)/2]
	switch op {
	case "bcontains", "bstartswith":
		return []string{hex.EncodeToString([]byte(s)), hex.EncodeToString([]byte(half + "x"))}
	case "regex":
		return []string{regexp.QuoteMeta(s), regexp.QuoteMeta(half), regexp.QuoteMeta(half) + ".*", "[0-9]+"}
	case "glob", "iglob":
		return []string{"*", half + "*", "*" + s[len(s)/2:], strings.ToUpper(half) + "*", "?" + s[min(1, len(s)):], half + "?"}
	case "<", "<=", ">", ">=":
		return []string{"1", "9"}
	}
	if f.Name == "evt.type" || f.Name == "syscall.type" {
		return []string{"openat", "open"} // others are errors
	}
	return []string{s, half, s[len(s)/2:], strings.ToUpper(s), s + "x", "/etc", "/"}
}

// holds is the model of a comparison with one value.
func holds(f *falco.Field, d datum, op, right string) bool {
	one := func(d datum) bool {
		switch f.Type {
		case falco.Number:
			n, _ := strconv.ParseInt(right, 0, 64)
			return modelNumber(op, d.n, n)
		case falco.Bool:
			return modelNumber(op, d.n, map[string]int64{"true": 1, "false": 0}[right])
		case falco.Address, falco.Network, falco.Port:
			return false // no descriptor of the event has one
		}
		return modelOps[op](d.String(), right)
	}
	if d.kind != isList {
		return d.kind != missing && one(d)
	}
	yes := 0
	for _, x := range *d.list {
		if one(x) {
			yes++
		}
	}
	if op == "in" && !f.Any {
		return yes == len(*d.list)
	}
	return yes > 0
}

// accepts reports whether an operator compares values of a type.
func accepts(f *falco.Field, op string) bool {
	switch {
	case f.List:
		return op == "in" || op == "intersects"
	case f.Type == falco.Text:
		return true
	case slices.Contains([]string{"<", "<=", ">", ">="}, op):
		return f.Type == falco.Number || f.Type == falco.Port
	}
	return slices.Contains([]string{"=", "==", "!=", "in", "intersects"}, op)
}

// modelCase is a condition with the result of the model for an event.
type modelCase struct {
	condition string
	want      bool
}

// conditionsOf returns comparisons of a field by each operator with several values, alone,
// negated, in lists and with modifiers.
func conditionsOf(f *falco.Field, name string, d datum) (all []modelCase) {
	quote := func(s string) string {
		return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
	}
	var ops []string
	for op := range modelOps {
		ops = append(ops, op)
	}
	sort.Strings(ops)
	add := func(condition string, want bool) {
		all = append(all, modelCase{condition, want}, modelCase{"not " + condition, !want})
	}
	add(name+" exists", d.kind != missing && (d.kind != isList || len(*d.list) > 0))
	for _, op := range ops {
		if !accepts(f, op) {
			continue
		}
		rights := rightSides(f, d, op)
		slices.Sort(rights)
		rights = slices.Compact(rights)
		yes := 0
		var quoted []string
		for _, r := range rights {
			want := holds(f, d, op, r)
			if want {
				yes++
			}
			quoted = append(quoted, quote(r))
			switch op {
			case "in", "intersects", "pmatch":
				add(fmt.Sprintf("%s %s (%s)", name, op, quote(r)), want)
				if f.Type == falco.Text {
					add(fmt.Sprintf("%s %s (creat, %s, \"mkdir\")", name, op, quote(r)), want)
				}
			case "<", "<=", ">", ">=":
				add(fmt.Sprintf("%s %s %s", name, op, r), want)
			default:
				add(fmt.Sprintf("%s %s %s", name, op, quote(r)), want)
			}
		}
		if slices.Contains([]string{"in", "intersects", "pmatch", "<", "<=", ">", ">="}, op) || d.kind == isList {
			continue
		}
		list := " (" + strings.Join(quoted, ",") + ")"
		add(name+" "+op+" anyof"+list, yes > 0)
		add(name+" "+op+" allof"+list, yes > 0 && yes == len(rights))
		add(name+" "+op+" oneof"+list, yes == 1)
	}
	return all
}

// TestModel compares every field of an event with values by every operator, as the model
// does. The programs test parts of the conditions, which TestFilters checks.
func TestModel(t *testing.T) {
	all := []string{}
	for name := range falco.Fields.Get() {
		all = append(all, name)
	}
	sort.Strings(all)
	output := "%evt.args"
	for _, name := range all {
		if f := falco.Fields.Get()[name]; !f.FilterOnly && f.Arg != falco.MustArg {
			output += " %" + name
		}
	}
	probe, _ := machine(t, "- rule: r\n  desc: d\n  condition: evt.type = openat\n  output: '"+output+"'\n  priority: INFO\n", Text)
	probe.Value(openat(probe, "../shadow", "/etc/x", 0x80000, 3))
	arguments := map[string]string{
		"evt.type.is": "openat", "evt.arg": "name", "evt.rawarg": "flags", "evt.around": "1", "thread.cgroup": "cpu", "container.mount": "/x",
		"container.mount.source": "/x", "container.mount.dest": "/x", "container.mount.mode": "/x", "container.mount.rdwr": "/x",
		"container.mount.propagation": "/x", "container.label": "a", "k8s.pod.label": "a",
	}
	var cases []modelCase
	for _, name := range all {
		f := falco.Fields.Get()[name]
		get := fields.Get()[name]
		switch {
		case f.Never, get == nil, strings.HasSuffix(name, "ip.name"), f.PrintOnly:
			continue
		case changes(name):
			continue
		}
		args := []string{"", "0", "2", "9"}
		if a := arguments[name]; a != "" {
			args = append(args, a)
		}
		for _, arg := range args {
			if (arg == "") != (f.Arg == falco.NoArg) && !(arg == "" && f.Arg == falco.MayArg) || len(arg) == 1 && f.Arg != falco.MayArg && arguments[name] == "" {
				continue
			}
			term, text := &falco.Term{Field: f, Name: name, Arg: arg, HasArg: arg != ""}, name
			if arg != "" {
				text = name + "[" + arg + "]"
			}
			d := get(&probe.event, term)
			if len(text) == 0 || name == "evt.rawarg" && arg != "flags" || name == "evt.arg" && arg != "name" {
				continue
			}
			if d.kind == isNumber && f.Type != falco.Number && name != "evt.rawarg" {
				t.Errorf("%s is a number and has the type %s", text, f.Type)
				continue
			}
			g := *f
			if arg != "" {
				g.Any = false
			}
			if name == "evt.rawarg" {
				g.Type = falco.Number
			}
			cases = append(cases, conditionsOf(&g, text, d)...)
		}
	}
	bad := 0
	for part := range slices.Chunk(cases, 4000) {
		got := alertsOf(t, probe, part)
		for i, c := range part {
			if got[i] != c.want && bad < 40 {
				bad++
				t.Errorf("%s: %t, want %t", c.condition, got[i], c.want)
			}
		}
	}
	if len(cases) < 5000 {
		t.Errorf("only %d conditions", len(cases))
	}
}

// alertsOf returns the numbers of the conditions that are true of the event of TestModel,
// on the machine of another engine.
func alertsOf(t *testing.T, on *engine, cases []modelCase) map[int]bool {
	t.Helper()
	var rules strings.Builder
	for i, c := range cases {
		fmt.Fprintf(&rules, "- rule: r%d\n  desc: d\n  condition: >\n    evt.type = openat and %s\n  output: %d\n  priority: INFO\n  warn_evttypes: false\n", i, c.condition, i)
	}
	e, out := machine(t, rules.String(), Text)
	e.program.All, e.table = true, on.table
	e.Value(openat(e, "../shadow", "/etc/x", 0x80000, 3))
	got := map[int]bool{}
	for line := range strings.Lines(out.String()) {
		n, err := strconv.Atoi(strings.TrimSpace(line[strings.LastIndexByte(line, ' ')+1:]))
		if err != nil {
			t.Fatal(err)
		}
		got[n] = true
	}
	return got
}

// changes reports whether a field has another value when it is read again.
func changes(name string) bool {
	for _, prefix := range []string{"proc.fd", "proc.vm", "thread.vm", "proc.std", "fd.types", "thread.cgroup", "evt.delta", "evt.rel", "evt.num"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
