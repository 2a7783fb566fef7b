package flows

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// Printer prints flows.
type Printer interface {
	Flow(f *Flow) error
	// Close prints the remaining flows.
	Close() error
}

// printers are the values of -o, the default first.
var printers = []struct {
	name, doc string
	make      func(w io.Writer, opt Style) Printer
}{
	{"compact", "one line for each flow", func(w io.Writer, opt Style) Printer { return &compact{w, opt} }},
	{"dict", "KEY: value, a line for each", func(w io.Writer, opt Style) Printer { return &dict{w: w, opt: opt} }},
	{"tab", "columns", newTab},
	{"json", "Hubble's JSON, a line for each flow", func(w io.Writer, opt Style) Printer { return newJSON(w, opt, false) }},
	{"jsonpb", "the same in the form that Hubble's types decode strictly", func(w io.Writer, opt Style) Printer { return newJSON(w, opt, true) }},
}

// Formats returns the values of -o.
//
//go:noinline
func Formats() []string {
	var list []string
	for _, p := range printers {
		list = append(list, p.name)
	}
	return list
}

// Style is how flows are printed.
type Style struct {
	Numeric bool   // addresses instead of names
	Node    string // the name of this machine
	Layout  string // of times; "": Hubble's
}

// NewPrinter returns the printer for a value of -o, or nil.
func NewPrinter(format string, w io.Writer, opt Style) Printer {
	if opt.Layout == "" {
		opt.Layout = time.StampMilli
	}
	for _, p := range printers {
		if p.name == format {
			return p.make(w, opt)
		}
	}
	return nil
}

// host returns an end of a flow as text: its name or address, and its port.
func (opt Style) host(f *Flow, e *Endpoint) string {
	host := e.Addr.String()
	if len(e.Names) > 0 && !opt.Numeric {
		host = e.Names[len(e.Names)-1]
	}
	if !f.Proto.hasPorts() {
		return host
	}
	return net.JoinHostPort(host, strconv.Itoa(int(e.Port)))
}

// identity returns the owner of an end of a flow as text.
func (e *Endpoint) identity() string {
	p := e.Local
	if p == nil {
		return ""
	}
	who := fmt.Sprintf("%s[%d]", printable(p.Comm), p.PID)
	switch {
	case p.Container != "":
		return p.Container + " " + who
	case p.Unit != "":
		return p.Unit + " " + who
	}
	return who
}

// printable returns a text without bytes that would control the terminal.
func printable(s string) string {
	if q := strconv.QuoteToASCII(s); len(q) != len(s)+2 {
		return strings.Trim(q, `"`)
	}
	return s
}

// named returns an end of a flow, with its identity in parentheses.
func (opt Style) named(f *Flow, e *Endpoint) string {
	s := opt.host(f, e)
	if id := e.identity(); id != "" {
		s += " (" + id + ")"
	}
	return s
}

// decision returns the type and the verdict of a flow.
func (f *Flow) decision() string {
	s := f.Type()
	if f.Place != "" {
		s += " at " + f.Place
	}
	return s + " " + string(f.Verdict)
}

// amount returns the packets and bytes of the flow so far, as text.
func (f *Flow) amount() string {
	if f.Packets == 1 {
		return fmt.Sprintf("1 packet, %d bytes", f.Bytes)
	}
	return fmt.Sprintf("%d packets, %d bytes", f.Packets, f.Bytes)
}

type compact struct {
	w   io.Writer
	opt Style
}

func (p *compact) Flow(f *Flow) error {
	_, err := fmt.Fprintf(p.w, "%s: %s -> %s %s (%s; %s)\n", f.Time.Format(p.opt.Layout), p.opt.named(f, &f.Src), p.opt.named(f, &f.Dst), f.decision(), printable(f.Summary()), f.amount())
	return err
}

func (p *compact) Close() error { return nil }

type dict struct {
	w    io.Writer
	opt  Style
	more bool
}

func (p *dict) Flow(f *Flow) error {
	var b bytes.Buffer
	if p.more {
		b.WriteString("------------\n")
	}
	p.more = true
	for _, row := range [][2]string{
		{"TIMESTAMP", f.Time.Format(p.opt.Layout)}, {"NODE", p.opt.Node},
		{"SOURCE", p.opt.named(f, &f.Src)}, {"DESTINATION", p.opt.named(f, &f.Dst)},
		{"DIRECTION", string(f.Direction)}, {"TYPE", f.Type()}, {"VERDICT", string(f.Verdict)}, {"PLACE", f.Place},
		{"INTERFACE", f.Interface}, {"AMOUNT", f.amount()}, {"SUMMARY", printable(f.Summary())},
	} {
		if row[1] != "" {
			fmt.Fprintf(&b, "%11s: %s\n", row[0], row[1])
		}
	}
	_, err := io.WriteString(p.w, b.String())
	return err
}

func (p *dict) Close() error { return nil }

// tab prints columns. They are as wide as the widest cell so far.
type tab struct {
	w      io.Writer
	opt    Style
	widths []int
}

func newTab(w io.Writer, opt Style) Printer { return &tab{w: w, opt: opt} }

func (p *tab) Flow(f *Flow) error {
	head := []string{"TIMESTAMP", "SOURCE", "DESTINATION", "TYPE", "VERDICT", "SUMMARY"}
	row := []string{f.Time.Format(p.opt.Layout), p.opt.named(f, &f.Src), p.opt.named(f, &f.Dst), f.Type(), string(f.Verdict), printable(f.Summary()) + "; " + f.amount()}
	if p.widths != nil {
		return p.row(row)
	}
	// The columns are wide enough for IPv6 addresses and reasons of drops.
	p.widths = []int{len(row[0]), 42, 42, 22, len(Forwarded), 0}
	return errors.Join(p.row(head), p.row(row))
}

func (p *tab) row(cells []string) error {
	var b bytes.Buffer
	for i, c := range cells {
		p.widths[i] = max(p.widths[i], len(c))
		if i == len(cells)-1 {
			p.widths[i] = 0
		}
		fmt.Fprintf(&b, "%-*s  ", p.widths[i], c)
	}
	_, err := io.WriteString(p.w, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

func (p *tab) Close() error { return nil }
