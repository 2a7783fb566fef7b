package falco

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/policy"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
)

// Program is the translation of rules: the events to watch and the rules to evaluate for each.
type Program struct {
	Rules   []*Rule // all that are enabled, in the order of the files
	Watched []*Watched
	Env     bool // whether rules need the environment of processes
	File    bool // whether rules need the path that was passed to execve
	All     bool // every rule that matches raises an alert, not only the first

	self   int  // ID of the process whose calls are left out, or 0
	noUnix bool // the kernel does not describe local sockets
	script *source.File
}

// Script returns the script that reports the events.
func (p *Program) Script() *source.File { return p.script }

// Translate reads the rules of documents. It returns nil after an error.
func Translate(docs []policy.Document, own Selection, terms *policy.Terms, diags *source.Diags) *Program {
	r := &reader{terms: terms, diags: diags}
	r.read(docs)
	own.choose(r.rules, diags)
	p := &Program{All: own.All, self: terms.Self}
	more, _ := parseOutput(own.Append, func(int, int) source.Span { return source.Span{} }, diags)
	for _, rule := range r.rules {
		if rule.Source != sourceSyscall {
			if !r.others[rule.Source] {
				r.others[rule.Source] = true
				diags.Warnf(rule.At, "gotrace has no events of the source '%s': rules for them are left out", rule.Source)
			}
			continue
		}
		if r.compile(rule) && rule.Enabled {
			if len(more) > 0 {
				rule.Output = slices.Concat(rule.Output, []Segment{{Text: " "}}, more)
			}
			p.Rules = append(p.Rules, rule)
		}
	}
	if diags.HasErrors() {
		return nil
	}
	if len(p.Rules) == 0 {
		diags.Errorf(source.Span{}, "there is no rule that is enabled")
		return nil
	}
	p.watch(terms, diags)
	if diags.HasErrors() {
		return nil
	}
	_, err := terms.Kernel.Type("struct unix_sock")
	p.noUnix = err != nil
	p.script = p.writeScript()
	return p
}

// compile sets the condition and the output of a rule. It reports whether the rule can be
// used.
func (r *reader) compile(rule *Rule) bool {
	x := parse(rule.condition.String(), rule.condition.at, r.diags)
	if x == nil {
		return false
	}
	e := &expansion{reader: r, quiet: rule.skipUnknown}
	rule.Condition = e.expand(r.except(rule, x))
	if e.failed || e.unknown {
		return false
	}
	ok := true
	rule.Output, ok = parseOutput(rule.output.String(), rule.output.at, r.diags)
	return ok
}

// foldAll folds the parts of a condition. It leaves out parts that do not change the result.
// If a part alone determines the result, foldAll returns its value and no parts.
func foldAll(parts []Expr, e *Event, neutral Const) (list []Expr, known Const) {
	for _, part := range parts {
		y := Fold(part, e)
		if c, ok := y.(Const); !ok {
			list = append(list, y)
		} else if c != neutral {
			return nil, c
		}
	}
	return list, neutral
}

// joined returns the condition that consists of the parts that foldAll has kept.
func joined(list []Expr, known Const, several func() Expr) Expr {
	switch len(list) {
	case 0:
		return known
	case 1:
		return list[0]
	}
	return several()
}

// Fold simplifies a condition for events of one type.
func Fold(x Expr, e *Event) Expr {
	switch x := x.(type) {
	case *And:
		list, known := foldAll(x.List, e, true)
		return joined(list, known, func() Expr { return &And{list} })
	case *Or:
		list, known := foldAll(x.List, e, false)
		return joined(list, known, func() Expr { return &Or{list} })
	case *Not:
		switch y := Fold(x.X, e).(type) {
		case Const:
			return !y
		case *Not:
			return y.X
		default:
			return &Not{y}
		}
	case *Check:
		if v, ok := known(x, e); ok {
			return Const(v)
		}
	}
	return x
}

// known returns the value of a comparison, if the type of the event determines it.
func known(c *Check, e *Event) (value, ok bool) {
	f := c.Left.Field
	if f == nil || c.Right != nil {
		return false, false
	}
	text := func(s string) (bool, bool) {
		switch {
		case c.Mod != "":
			return false, false
		case c.Op == "exists":
			return true, true
		case c.Op == "=", c.Op == "in", c.Op == "intersects":
			return slices.ContainsFunc(c.Texts, func(t string) bool { return t == s || aliases.Get()[t] == s }), true
		case c.Op == "!=":
			return c.Texts[0] != s && aliases.Get()[c.Texts[0]] != s, true
		}
		return false, false
	}
	switch {
	case f.Never:
		return false, true
	case f.Name == "evt.type", f.Name == "syscall.type" && e.Syscall != "":
		return text(e.Name)
	case f.Name == "syscall.type":
		return false, true
	case f.Name == "evt.dir":
		return text("<")
	case f.Name == "evt.source":
		return text("syscall")
	case f.Name == "evt.num":
		return knownNumber(c)
	case f.Name == "evt.arg" || f.Name == "evt.rawarg":
		if p := e.param(c.Left.Arg); p == nil || p.Src == "" {
			return false, true
		}
	case strings.HasPrefix(f.Name, "evt.is_open_") && !e.IsOpen() && c.Op == "=" && len(c.Texts) == 1:
		v, err := ParseBool(c.Texts[0])
		return err == nil && !v, true
	case strings.HasPrefix(f.Name, "fd.") && f.Name != "fd.types" && !e.Creates && !e.Uses:
		return false, true
	}
	return false, false
}

// knownNumber returns the value of a comparison with a number that counts events from 1.
func knownNumber(c *Check) (value, ok bool) {
	if len(c.Texts) != 1 || c.Op == "exists" {
		return c.Op == "exists", c.Op == "exists"
	}
	n, err := ParseNumber(c.Texts[0])
	switch {
	case err != nil:
	case c.Op == "=" && n < 1, c.Op == "<" && n <= 1, c.Op == "<=" && n < 1:
		return false, true
	case c.Op == "!=" && n < 1, c.Op == ">" && n < 1, c.Op == ">=" && n <= 1:
		return true, true
	}
	return false, false
}

// param returns the parameter that an argument of evt.arg names, by name or by number.
func (e *Event) param(arg string) *Param {
	if p := e.Param(arg); p != nil {
		return p
	}
	n := 0
	if len(arg) == 0 || len(arg) > 2 {
		return nil
	}
	for _, c := range arg {
		if c < '0' || c > '9' {
			return nil
		}
		n = n*10 + int(c-'0')
	}
	if n >= len(e.Params) {
		return nil
	}
	return &e.Params[n]
}

// watch determines the events to watch.
func (p *Program) watch(terms *policy.Terms, diags *source.Diags) {
	names := map[*Rule]map[string]bool{}
	for _, rule := range p.Rules {
		names[rule] = namedEvents(rule, terms.Kernel, diags)
	}
	if diags.HasErrors() {
		return
	}
	seen := map[*Rule]int{}
	add := func(e *Event) {
		w := &Watched{Event: e}
		for _, rule := range p.Rules {
			if (e.Frequent || generic(e)) && !names[rule][e.Name] {
				continue
			}
			x := Fold(rule.Condition, e)
			if x == Const(false) {
				continue
			}
			seen[rule]++
			w.Rules = append(w.Rules, RuleOf{rule, x})
			w.needs(rule, x)
		}
		if len(w.Rules) > 0 {
			p.Watched = append(p.Watched, w)
		}
	}
	for _, e := range Events.Get() {
		add(e)
	}
	for _, name := range genericNames(names) {
		add(&Event{Name: name, Syscall: name, Category: "other", Params: []Param{{Name: "ID"}}})
	}
	for _, rule := range p.Rules {
		switch n := seen[rule]; {
		case n == 0:
			diags.Warnf(rule.At, "no event can raise an alert of this rule: its condition is always false")
		case n > manyEvents && !rule.quiet:
			diags.Add(source.Diag{Span: rule.At, Severity: source.Warning, Hint: "evt.type selects events; 'warn_evttypes: false' in the rule turns this warning off",
				Msg: fmt.Sprintf("the rule is evaluated for %d types of events, which takes time, and not for the most frequent ones, such as read", n)})
		}
		needEnv := func(t *Term) {
			all := t.Name == "evt.args" || t.Name == "evt.info"
			p.Env = p.Env || all || t.Name == "proc.env" || t.Name == "proc.aenv" || t.mayBe("env")
			p.File = p.File || all || t.mayBe("filename") || t.mayBe("pathname") || t.Field.Name == "evt.abspath"
		}
		EachCheck(rule.Condition, func(c *Check) {
			c.Left.eachTerm(needEnv)
			if c.Right != nil {
				c.Right.eachTerm(needEnv)
			}
		})
		for _, s := range rule.Output {
			if s.Term != nil {
				s.Term.eachTerm(needEnv)
			}
		}
	}
}

// manyEvents is the number of types of events above which a rule takes much time.
const manyEvents = 100

// generic reports whether an event is not in the table of events.
func generic(e *Event) bool { return EventByName.Get()[e.Name] == nil }

// genericNames returns the names of the events that rules use but the table does not
// have.
func genericNames(names map[*Rule]map[string]bool) (list []string) {
	for _, all := range names {
		for name := range all {
			if EventByName.Get()[name] == nil && !policy.Among(list, name) {
				list = append(list, name)
			}
		}
	}
	slices.Sort(list)
	return list
}

// namedEvents returns the types of events that a condition names. It reports those that do
// not exist.
func namedEvents(rule *Rule, k probes.Kernel, diags *source.Diags) map[string]bool {
	named := map[string]bool{}
	EachCheck(rule.Condition, func(c *Check) {
		if f := c.Left.Field; f == nil || f.Name != "evt.type" && f.Name != "syscall.type" || c.Op != "=" && c.Op != "!=" && c.Op != "in" && c.Op != "intersects" {
			return
		}
		for _, name := range c.Texts {
			if other := aliases.Get()[name]; other != "" {
				name = other
			}
			switch {
			case EventByName.Get()[name] != nil:
				named[name] = true
			case policy.Among(silent, name):
				diags.Warnf(c.At, "gotrace has no events '%s'", name)
			case !wordOf.Get().MatchString(name) || wordOf.Get().FindString(name) != name || !isSyscall(k, name):
				diags.ErrorHint(c.At, suggestEvent(name), "there is no event '%s'", name)
			default:
				named[name] = true
			}
		}
	})
	return named
}

func suggestEvent(name string) string {
	var names []string
	for _, e := range Events.Get() {
		names = append(names, e.Name)
	}
	return source.DidYouMean(name, names)
}

// needs adds the values that a rule needs of events of the type.
func (w *Watched) needs(rule *Rule, x Expr) {
	EachCheck(x, func(c *Check) {
		c.Left.eachTerm(w.needsOf)
		if c.Right != nil {
			c.Right.eachTerm(w.needsOf)
		}
	})
	for _, s := range rule.Output {
		if s.Term != nil {
			s.Term.eachTerm(w.needsOf)
		}
	}
}

// needsOf adds the values that a field needs.
func (w *Watched) needsOf(t *Term) {
	e := w.Event
	switch name := t.Field.Name; {
	case name == "proc.cwd":
		w.need("cwd")
	case name == "thread.pfmajor":
		w.need("majflt")
	case name == "thread.pfminor":
		w.need("minflt")
	case name == "proc.nthreads", name == "proc.nchilds":
		w.need("threads")
	case name == "proc.fdlimit", name == "proc.fdusage":
		w.need("fdlimit")
	case name == "evt.arg", name == "evt.rawarg":
		if p := e.param(t.Arg); p != nil {
			w.needParam(p)
		}
	case name == "evt.args", name == "evt.info":
		for i := range e.Params {
			w.needParam(&e.Params[i])
		}
	case name == "evt.abspath", strings.HasPrefix(name, "fs.path."):
		for i := range e.Params {
			if p := &e.Params[i]; p.Kind == Path || p.Name == "target" {
				w.needParam(p)
			}
		}
		if strings.HasPrefix(name, "fs.path.") && e.Uses {
			w.need("mode", "fdpath")
		}
	case name == "evt.buffer", name == "evt.buflen", strings.HasPrefix(name, "evt.buflen."):
		if p := e.Param("data"); p != nil {
			w.needParam(p)
		}
		w.needFD(name)
	case strings.HasPrefix(name, "evt.is_open_"):
		for _, p := range e.Params {
			if e.IsOpen() && (p.Name == "flags" || p.Name == "mode") {
				w.need(p.Src)
			}
		}
	case strings.HasPrefix(name, "fd.") && name != "fd.types":
		w.needFD(name)
	case name == "evt.is_syslog", name == "evt.category", strings.HasPrefix(name, "evt.count.error"):
		w.needFD(name)
	}
}

func (w *Watched) needParam(p *Param) {
	w.need(p.Src)
	if p.Kind == Path {
		w.need("cwd")
		if p.Dir != "" {
			w.need(p.Dir, "d"+p.Dir[1:])
		}
	}
	switch p.Kind {
	case Tuple, SockAddr:
		w.needFD("fd.name")
	case FD:
		if p.Src == "ret" || p.Src == "a0" {
			w.needFD("fd.name")
		}
	}
}

// needFD adds the values that fields of the event's descriptor need.
func (w *Watched) needFD(field string) {
	e := w.Event
	if e.IsOpen() {
		for i := range e.Params {
			p := &e.Params[i]
			switch {
			case p.Kind == Path:
				w.needParam(p)
			case p.Name == "flags" && (field == "fd.type" || field == "fd.typechar"):
				w.need(p.Src)
			}
		}
		switch {
		case strings.HasPrefix(field, "fd.dev"), field == "fd.ino":
			w.need("dev", "ino")
		case strings.HasSuffix(field, "_layer"):
			w.need("upper", "overlay")
		}
		return
	}
	if e.fdExpr() == "" {
		return
	}
	if field == "fd.num" {
		w.need("a0")
		return
	}
	w.need("a0")
	w.need(strings.Fields(fileValues)...)
	if strings.HasSuffix(field, "_layer") {
		w.need("upper", "overlay")
	}
	for _, p := range e.Params {
		if p.Kind == Tuple || p.Kind == SockAddr || p.Table == "family" || e.Name == "socket" {
			w.need(p.Src)
		}
	}
}
