package object

import (
	"bytes"
	"fmt"
	"strconv"
)

// String returns the full contents of the object as text.
func (o *Object) String() string {
	var b bytes.Buffer
	o.Needs.print(&b)
	o.Invocation.print(&b)
	fmt.Fprintf(&b, "settings %+v\n", o.Settings)
	for _, opt := range o.Options {
		fmt.Fprintf(&b, "option %s default %q %q\n", opt.Name, opt.Default, opt.Doc)
	}
	for _, m := range o.Maps {
		b.WriteString(m.Name)
		if m.Key != nil {
			fmt.Fprintf(&b, "[%s]", m.Key)
		}
		fmt.Fprintf(&b, ": %s, %s\n", m.Value, m.Kept())
	}
	for i := range o.Events {
		o.Events[i].print(&b, i)
	}
	if r := o.Recorder; r != nil {
		fmt.Fprintf(&b, "recorder for %d CPUs, each %d times %d bytes, until=%t, dated=%t\n", r.CPUs, r.Chunks, r.Chunk, r.Until, r.Dated)
	}
	for i, s := range o.Sites {
		fmt.Fprintf(&b, "site %d: %s %q at %s\n", i, siteNames[s.Kind], s.What, s.Span)
	}
	for _, p := range o.Programs {
		p.print(&b)
	}
	b.WriteString(Disassembly(o.Kernel, o.Programs))
	for i := range o.Maps {
		for _, p := range o.Maps[i].Programs {
			b.WriteString("\nfor map " + o.Maps[i].Name + "\n")
			b.WriteString(Disassembly(nil, []*Program{p}))
		}
	}
	if f := o.Follow; f != nil {
		b.WriteString("\nto follow processes\n")
		b.WriteString(Disassembly(nil, []*Program{f.Fork, f.Walk}))
	}
	for _, d := range o.Dispatchers {
		fmt.Fprintf(&b, "\nto run, by number in %s:", d.Array)
		for _, e := range d.Entries {
			fmt.Fprintf(&b, " %d %s", e.Number, o.Programs[e.Program].Name)
		}
		b.WriteByte('\n')
		b.WriteString(Disassembly(nil, []*Program{d.Program}))
	}
	for _, f := range o.Fetchers {
		b.WriteString("\nbefore " + o.Programs[f.For].Name + "\n")
		b.WriteString(Disassembly(nil, []*Program{f.Program}))
	}
	for _, p := range o.Programs {
		if p.Partner != nil {
			b.WriteString("\ntogether with " + o.Programs[p.Partner.Program].Name + "\n")
			b.WriteString(Disassembly(nil, []*Program{p.Partner.Both}))
		}
	}
	return b.String()
}

func (n *Needs) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "needs Linux %s %s, %d CPUs", n.Release, n.Arch, n.CPUs)
	for _, f := range []struct{ name, val string }{{"kernel", n.Kernel}, {"boot", n.Boot}, {"modules", n.Modules}, {"only now", n.OnlyNow}} {
		if f.val != "" {
			fmt.Fprintf(b, ", %s %s", f.name, f.val)
		}
	}
	b.WriteByte('\n')
	for _, t := range n.Tracepoints {
		fmt.Fprintf(b, "needs tracepoint %s:%s as %s\n", t.Category, t.Event, t.Format)
	}
	for _, t := range n.Targets {
		fmt.Fprintf(b, "needs %s at %s\n", t.Name, t.Path)
	}
	for _, f := range n.Files {
		fmt.Fprintf(b, "needs file %s of %d bytes, build %q, inode %d of %d, changed %d\n", f.Path, f.Size, f.Build, f.Inode, f.Dev, f.Changed)
	}
}

func (s *Invocation) print(b *bytes.Buffer) {
	b.WriteString("session")
	for _, p := range s.Params {
		b.WriteString(" " + strconv.Quote(p))
	}
	for _, o := range s.Options {
		fmt.Fprintf(b, " --%s=%q", o.Name, o.Default)
	}
	for _, f := range []struct {
		set  bool
		name string
	}{{s.Unsafe, "unsafe"}, {s.HasChild, "command"}, {s.Warnings, "warnings"}} {
		if f.set {
			b.WriteString(" " + f.name)
		}
	}
	if s.PID != 0 {
		fmt.Fprintf(b, " pid %d", s.PID)
	}
	if s.ChildPID != 0 {
		fmt.Fprintf(b, " child %d", s.ChildPID)
	}
	for _, dir := range s.Cgroups {
		fmt.Fprintf(b, " cgroup %q", dir)
	}
	b.WriteByte('\n')
}

// Kept returns a description of the way in which a map is stored.
func (m *Map) Kept() string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s in %s", m.Store, m.Kernel)
	if m.Short != "" {
		fmt.Fprintf(&b, " and %s", m.Short)
	}
	if m.Number > 0 {
		fmt.Fprintf(&b, " number %d", m.Number)
	}
	if m.Key == nil && m.Part == 0 {
		fmt.Fprintf(&b, " at %d, set at %d", m.Off, m.Set)
	} else if m.Max > 0 {
		fmt.Fprintf(&b, ", at most %d", m.Max)
	}
	if m.PerCPU {
		b.WriteString(", per CPU")
	}
	if m.LRU {
		b.WriteString(", least recently used go")
	}
	if m.Part > 0 {
		fmt.Fprintf(&b, ", parts of %d bytes", m.Part)
	}
	if t := m.Table; t != nil {
		fmt.Fprintf(&b, ", table at %d of %d slots", t.Off, t.Slots)
		if t.CPUs > 0 {
			fmt.Fprintf(&b, " for each of %d CPUs", t.CPUs)
		}
	}
	return b.String()
}

var siteNames = map[SiteKind]string{
	LostEvent: "lost event", MapFull: "map full", ReadFault: "read fault", DivZero: "division by zero",
	OutOfBounds: "out of bounds", StackFault: "stack fault", HelperFail: "helper failed", NoEntry: "no entry", UnreadText: "unread text", Audit: "audit",
}

func (e *Event) print(b *bytes.Buffer, n int) {
	fmt.Fprintf(b, "event %d: %s, %d bytes, at %s", n, e.Def, e.Size, e.Span)
	for _, at := range e.From {
		fmt.Fprintf(b, " from %s", at)
	}
	if e.Stamp != 0 {
		fmt.Fprintf(b, ", stamp at %d", e.Stamp)
	}
	if c := e.Call; c != nil {
		fmt.Fprintf(b, ", calls of %q, return %v, all %v", c.Names, c.Return, c.All)
	}
	for _, a := range e.Args {
		fmt.Fprintf(b, ", %s at %d", a.Type, a.Off)
		if a.Packed {
			b.WriteString(" packed")
		}
	}
	e.Later.print(b)
	for _, l := range e.Lits {
		switch l := l.(type) {
		case *Message:
			fmt.Fprintf(b, ", format %q", l.Format)
			for _, a := range l.Args {
				if a.Rec < 0 {
					fmt.Fprintf(b, " %s=%x", a.Type, a.Fixed)
				} else {
					fmt.Fprintf(b, " %s=#%d", a.Type, a.Rec)
				}
			}
		case string:
			fmt.Fprintf(b, ", %q", l)
		default:
			fmt.Fprintf(b, ", %v", l)
		}
	}
	b.WriteByte('\n')
}

func (p *Program) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "program %s: %s", p.Name, p.Type)
	if p.AttachType != 0 {
		fmt.Fprintf(b, " %s", p.AttachType)
	}
	if p.AttachTo != "" {
		fmt.Fprintf(b, " to %s", p.AttachTo)
	}
	if p.AttachProg != 0 {
		fmt.Fprintf(b, " of program %d", p.AttachProg)
	}
	fmt.Fprintf(b, " license %q at %s\n", p.License, p.Span)
	for i := range p.Points {
		p.Points[i].print(b)
	}
}

// print prints the fields of a point that are set.
func (p *Point) print(b *bytes.Buffer) {
	fmt.Fprintf(b, "  %s", p.Name)
	text := func(name, val string) {
		if val != "" {
			fmt.Fprintf(b, " %s=%s", name, val)
		}
	}
	number := func(name string, val uint64) {
		if val != 0 {
			fmt.Fprintf(b, " %s=%d", name, val)
		}
	}
	text("target", p.Target)
	text("func", p.Func)
	text("mode", p.Mode)
	number("offset", p.Offset)
	if p.HasAddr {
		fmt.Fprintf(b, " addr=%#x", p.Addr)
	}
	number("count", p.Count)
	number("event", p.Event)
	number("pid", uint64(p.PID))
	if p.Multi {
		b.WriteString(" multi")
	}
	if p.Anywhere {
		b.WriteString(" anywhere")
	}
	text("file", p.File)
	number("at", p.FileOffset)
	number("semaphore", p.Semaphore)
	b.WriteByte('\n')
}
