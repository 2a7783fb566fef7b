package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang"
	"github.com/gotrace/gotrace/lang/ast"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/probes/kernel"
	"github.com/gotrace/gotrace/runtime/cost"
	"github.com/gotrace/gotrace/runtime/object"
)

const explainUsage = `gotrace explain - estimates what a script costs

USAGE:
    gotrace explain [options] FILE [parameters]
    gotrace explain [options] -e 'program'

It compiles the script and prints, for each statement, its instructions, calls of
the kernel's helpers, and nanoseconds on this machine; for each probe the time of an
event, the stack it uses, and what the kernel itself takes; and how maps are kept.
Nothing is attached. Without privileges, the times are those of another machine.

    -f json                one JSON object for each probe and map
All other options are those of gotrace that change the script's code.
`

// explained is the estimate for one probe, in the form of the JSON. All times are in ns.
type explained struct {
	Probe        string          `json:"probe"`
	Points       int             `json:"points"`
	Kernel       string          `json:"kernel"` // time that the kernel takes in addition
	Least        float64         `json:"least_ns"`
	Most         float64         `json:"most_ns"`
	OpenLoop     bool            `json:"unbounded"` // a loop has an unknown number of iterations: most_ns counts one
	Instructions int             `json:"instructions"`
	Stack        int             `json:"stack_bytes"`
	Measured     bool            `json:"measured"` // on this machine
	Unknown      []string        `json:"unknown,omitempty"`
	Parts        []explainedPart `json:"parts"`
}

type explainedPart struct {
	File   string         `json:"file"`
	Line   int            `json:"line"`
	Code   string         `json:"code"`
	Always bool           `json:"always"` // not after a condition
	Loop   bool           `json:"loop"`   // the other members are for one iteration
	Called bool           `json:"called"` // in a function of the script
	Turns  int            `json:"turns,omitempty"`
	Insns  int            `json:"instructions"`
	Ns     float64        `json:"ns"`
	Calls  map[string]int `json:"calls,omitempty"`
	Rare   *explainedRare `json:"rare,omitempty"`
}

// explainedRare is code that runs after a failure, or the first time for a key.
type explainedRare struct {
	Insns int            `json:"instructions"`
	Ns    float64        `json:"ns"`
	Calls map[string]int `json:"calls,omitempty"`
}

type explainedMap struct {
	Name string `json:"name"`
	Kept string `json:"kept"`
}

// explain prints what a script costs and returns the exit status.
func (a *app) explain(args []string) int {
	if status, ok := a.takeFlags(args, explainUsage, explainable); !ok {
		return status
	}
	f, err := a.readScript()
	if err == nil {
		err = a.checkProcess()
	}
	if err != nil {
		a.report.errorf("%v", err)
		return statusError
	}
	a.kernel = kernel.LiveBTF(a.btfFile())
	lacks := privileges()
	obj, ok := a.compile(f)
	if !ok || !a.checkOptions(obj.Options) {
		if lacks != nil {
			a.report.warnf("some facts about the kernel can be read only with privileges: %v", lacks)
		}
		return statusError
	}
	model := cost.NewModel(lacks == nil, lacks)
	units := a.units(f)
	var list []explained
	for i, p := range obj.Programs {
		if len(p.Points) == 0 {
			continue
		}
		rest := cost.Unit{Span: p.Span, Turns: 1}
		list = append(list, describe(obj, i, cost.Estimate(p, obj.Kernel, append(units[:len(units):len(units)], rest), model)))
	}
	for i := range list {
		list[i].Measured = model.Refused == nil
	}
	if a.opt.format == "json" {
		return a.explainJSON(list, obj)
	}
	if model.Refused != nil {
		fmt.Fprintf(a.stdout, "Times are those of a machine with 3 GHz, not of this one: %v\n\n", model.Refused)
	}
	for _, e := range list {
		e.print(a.stdout)
	}
	if len(obj.Maps) > 0 {
		fmt.Fprintln(a.stdout, "maps")
		for i := range obj.Maps {
			fmt.Fprintf(a.stdout, "  %s: %s\n", obj.Maps[i].Name, kept(&obj.Maps[i]))
		}
	}
	return statusOK
}

// explainable returns an error if the options ask for something other than an estimate.
func explainable(o *options) error {
	switch {
	case o.list, o.info, o.fmt, o.version, o.mode != "", o.emitELF != "":
		return usagef("USAGE: gotrace explain takes a script and the options that change its code")
	case o.format != sinks[0].format && o.format != "json":
		return usagef("USAGE: gotrace explain prints text or, with -f json, JSON")
	case o.script == "" && o.file == "":
		return usagef("USAGE: filename or -e 'program' required.")
	}
	return nil
}

// units returns the statements and conditions of a script that has been compiled.
func (a *app) units(f *source.File) []cost.Unit {
	var diags source.Diags
	tree := lang.Parse(f, a.defs(), a.opt.includeDirs, a.files, &diags)
	if tree == nil {
		return nil
	}
	var list []cost.Unit
	add := func(n ast.Node, head source.Span, turns int) {
		list = append(list, cost.Unit{Span: n.Span(), Head: head, Turns: turns})
	}
	var visit func(n ast.Node, turns int)
	visit = func(n ast.Node, turns int) {
		ast.Inspect(n, func(c ast.Node) bool {
			switch c := c.(type) {
			case *ast.Probe:
				if c.Pred != nil {
					add(c.Pred, c.Pred.Span(), turns)
				}
			case *ast.ExprStmt:
				switch c.X.(type) {
				case *ast.If, *ast.Block:
				default:
					add(c, c.Span(), turns)
				}
			case *ast.Assign, *ast.Let, *ast.Jump:
				add(c, c.Span(), turns)
			case *ast.If:
				add(c, c.Cond.Span(), turns)
			case *ast.While:
				add(c, c.Cond.Span(), 0)
				visit(c.Body, 0)
				return false
			case *ast.For:
				n := turns * turnsOf(c.Iter)
				if n > maxTurns*maxTurns { // with those of another loop, they may be too many for an int
					n = 0
				}
				add(c, c.Var.Span().To(c.Iter.Span()), n)
				visit(c.Body, n)
				return false
			}
			return true
		})
	}
	visit(tree, 1)
	return list
}

// maxTurns is the greatest number of iterations of a loop that is taken into account. The
// kernel's loops have at most 8 million.
const maxTurns = 8 << 20

// turnsOf returns the number of iterations of a loop over x, or 0 if it is not constant.
func turnsOf(x ast.Expr) int {
	r, ok := x.(*ast.Range)
	if !ok {
		return 0
	}
	from, ok1 := r.From.(*ast.IntLit)
	to, ok2 := r.To.(*ast.IntLit)
	if !ok1 || !ok2 || to.Value <= from.Value || to.Value-from.Value > maxTurns {
		return 0
	}
	return int(to.Value - from.Value)
}

// describe returns the estimate for program i of an object in the form for printing.
func describe(obj *object.Object, i int, est cost.Program) explained {
	p := obj.Programs[i]
	e := explained{
		Probe: p.Points[0].Name, Points: len(p.Points), Kernel: probes.Lookup(p.Points[0].Kind).Overhead,
		Least: est.Least, Most: est.Most, OpenLoop: est.Open,
		Instructions: est.Insns, Stack: est.Stack, Unknown: est.Unknown,
	}
	for _, part := range est.Parts {
		span := part.Unit.Span
		row := explainedPart{
			Always: part.Always && !part.Loop, Loop: part.Loop, Called: part.Called && !part.Loop, Turns: part.Unit.Turns,
			Insns: part.Usual.Insns, Ns: part.Usual.Ns, Calls: calls(part.Usual),
		}
		if span.IsValid() {
			row.File, row.Line = span.File.Name, span.File.Position(span.Start).Line
		}
		if row.Code = oneLine(part.Unit.Head.Text()); part.Unit.Head == (source.Span{}) {
			row.Code = "start and end of the program"
		}
		if part.Rare.Insns > 0 {
			row.Rare = &explainedRare{part.Rare.Insns, part.Rare.Ns, calls(part.Rare)}
		}
		e.Parts = append(e.Parts, row)
	}
	return e
}

// kept describes how a map is stored, and the memory that it takes.
func kept(m *object.Map) string {
	var b strings.Builder
	switch {
	case m.Key == nil && m.PerCPU:
		b.WriteString("one value for each CPU")
	case m.Key == nil:
		b.WriteString("one value")
	case m.Max == 0:
		b.WriteString("one value for each socket")
	default:
		fmt.Fprintf(&b, "at most %d keys", m.Max)
		if m.PerCPU {
			b.WriteString(", with a value for each CPU")
		}
		if m.LRU {
			b.WriteString("; if there are more, the least recently used ones go")
		}
	}
	if m.Part > 0 {
		fmt.Fprintf(&b, ", in parts of %d bytes", m.Part)
	}
	if t := m.Table; t != nil {
		fmt.Fprintf(&b, "; some of them are in a faster table with room for %d", t.Slots)
		if t.CPUs > 0 {
			fmt.Fprintf(&b, " on each of %d CPUs", t.CPUs)
		}
	}
	return b.String()
}

func calls(c cost.Code) map[string]int {
	m := map[string]int{}
	for _, call := range c.Calls {
		m[call.Helper] = call.N
	}
	return m
}

// oneLine returns text as one line.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// explainJSON prints the estimates as JSON, one object per line.
func (a *app) explainJSON(list []explained, obj *object.Object) int {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	write := func(kind string, data any) error {
		return enc.Encode(struct {
			Type string `json:"type"`
			Data any    `json:"data"`
		}{kind, data})
	}
	for _, e := range list {
		if err := write("cost", e); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
	}
	for i := range obj.Maps {
		if err := write("map_kept", explainedMap{obj.Maps[i].Name, kept(&obj.Maps[i])}); err != nil {
			a.report.errorf("%v", err)
			return statusError
		}
	}
	return statusOK
}

// print prints an estimate as text.
func (e *explained) print(w io.Writer) {
	fmt.Fprint(w, e.Probe)
	if e.Points > 1 {
		fmt.Fprintf(w, " and %d others", e.Points-1)
	}
	fmt.Fprintf(w, "\n%8s %6s %-6s %s\n", "NS", "INSNS", "WHEN", "CODE")
	for _, p := range e.Parts {
		when := "if"
		switch {
		case p.Loop:
			when = "loop"
		case p.Called:
			when = "called"
		case p.Always:
			when = "always"
		}
		if p.Insns > 0 {
			fmt.Fprintf(w, "%8s %6d %-6s %4d: %s\n", nanos(p.Ns), p.Insns, when, p.Line, shorten(p.Code))
			printCalls(w, p.Calls)
			if p.Loop && p.Turns > 1 {
				fmt.Fprintf(w, "%29sper iteration; there are %d\n", "", p.Turns)
			} else if p.Loop {
				fmt.Fprintf(w, "%29sper iteration; the number depends on the data\n", "")
			}
		}
		if p.Rare != nil {
			fmt.Fprintf(w, "%8s %6d %-6s %4d: %s\n", nanos(p.Rare.Ns), p.Rare.Insns, "rare", p.Line, shorten(p.Code))
			printCalls(w, p.Rare.Calls)
		}
	}
	fmt.Fprintf(w, "  each event: %s\n", e.total())
	if e.Kernel != "" {
		fmt.Fprintf(w, "  the kernel itself: %s\n", e.Kernel)
	}
	if len(e.Unknown) > 0 {
		fmt.Fprintf(w, "  not measured, taken to be 50 ns: %s\n", strings.Join(e.Unknown, ", "))
	}
	fmt.Fprintf(w, "  size: %d instructions, %d of 512 bytes of stack\n\n", e.Instructions, e.Stack)
}

// total returns the time of an event.
func (e *explained) total() string {
	least, most := nanos(e.Least), nanos(e.Most)
	text := least + " ns"
	if least != most {
		text = least + " to " + most + " ns"
	}
	if e.OpenLoop {
		text += ", with one iteration of each loop whose iterations depend on the data"
	}
	return text
}

// nanos returns a number of nanoseconds with a reasonable precision.
func nanos(ns float64) string {
	if ns < 10 {
		return fmt.Sprintf("%.1f", ns)
	}
	return fmt.Sprintf("%.0f", math.Round(ns))
}

func printCalls(w io.Writer, calls map[string]int) {
	if len(calls) == 0 {
		return
	}
	var list []string
	for _, name := range slices.Sorted(maps.Keys(calls)) {
		if n := calls[name]; n > 1 {
			name = fmt.Sprintf("%d %s", n, name)
		}
		list = append(list, name)
	}
	fmt.Fprintf(w, "%29scalls %s\n", "", strings.Join(list, ", "))
}

// shorten returns code, truncated so that a row is not too long.
func shorten(code string) string {
	const most = 60
	if r := []rune(code); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return code
}
