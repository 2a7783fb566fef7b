package ast

import (
	"slices"
	"strings"

	"github.com/gotrace/gotrace/lang/source"
)

// Event is probe provider:name { … }: an attach point that stands for other attach
// points.
type Event struct {
	At
	Name   Name // with the provider: file:open
	Doc    string
	Args   []*EventArg // arguments for scripts: args.NAME
	Places []*Place    // in order

	Library bool // it belongs to the providers that come with the program
}

// EventArg is name : type = value; in an event or in a place of one, or let name = value;
// in a place.
type EventArg struct {
	At
	Once  bool // let: the value is computed once, before anything that uses it
	Name  Name
	Type  *Type // nil in places
	Value Expr  // nil if the places define it
	Doc   string
}

// Place is [else] [from points { … }] at points [/predicate/] { … }: a place where an
// event happens, and the arguments that only this place has.
type Place struct {
	At
	Else   bool           // it replaces the previous place on kernels that lack that place
	Entry  []*AttachPoint // where Saved is computed; may be empty
	When   Expr           // the predicate of Entry; nil if there is none
	Saved  []*EventArg    // values that are kept until Points are reached: with the same Key, or in the same thread
	Points []*AttachPoint
	Pred   Expr // nil if there is none
	Args   []*EventArg

	// Before are predicates that are tested before Pred: those of the events from which
	// the place is derived.
	Before []Expr
}

// keyName is the name of the value in Saved that is the key.
const keyName = "by"

// Key returns the value by which Saved is kept, or nil if it is kept for the thread.
//
//go:noinline
func (p *Place) Key() *EventArg {
	for _, a := range p.Saved {
		if a.Name.Text == keyName {
			return a
		}
	}
	return nil
}

// everyTask is the name of a value of a place that the flags that select processes do not
// confine.
const everyTask = "every_task"

// EveryTask reports whether the flags that select processes leave p alone, because the
// current task is often another one.
func (p *Place) EveryTask() bool {
	return slices.ContainsFunc(p.Args, func(a *EventArg) bool { return a.Name.Text == everyTask })
}

// PlaceOf is the place that a probe is for.
type PlaceOf struct {
	Event  *Event
	Place  *Place // Event.Places[Index]
	Index  int
	Number int    // number of the use of the event in the script, from 0: each use has its own state
	Probe  *Probe // as written
	Entry  bool   // the probe is for the Entry of the place
}

func (*Event) decl() {}

// OfProvider reports whether a map with a name keeps the state of an event that comes with
// gotrace. Scripts cannot write such names.
func OfProvider(name string) bool { return strings.Contains(name, ":") }

// ArgOf returns the argument with a name, from the place or else from the event. It
// returns nil if there is none.
//
//go:noinline
func (o *PlaceOf) ArgOf(name string) *EventArg {
	var declared *EventArg
	for _, list := range [][]*EventArg{o.Place.Args, o.Place.Saved, o.Event.Args} {
		for _, a := range list {
			if a.Name.Text != name {
				continue
			}
			if a.Value != nil {
				return a
			}
			declared = a
		}
	}
	return declared
}

// DocAbove returns the text of the // comment that ends on the line above an offset.
func DocAbove(f *source.File, comments []Comment, start int) string {
	var lines []string
	line := f.Position(start).Line
	for i := len(comments) - 1; i >= 0; i-- {
		c := comments[i]
		if f.Position(c.Span().Start).Line != line-1 {
			continue
		}
		line--
		lines = append([]string{strings.TrimSpace(strings.TrimPrefix(c.Text, "//"))}, lines...)
	}
	return strings.Join(lines, " ")
}

// Event rewrites the arguments and predicates of an event.
func (r *Rewriter) Event(e *Event) {
	r.eventArgs(e.Args)
	for _, p := range e.Places {
		p.When = r.Any(p.When)
		r.eventArgs(p.Saved)
		r.eventArgs(p.Args)
		for i := range p.Before {
			p.Before[i] = r.Any(p.Before[i])
		}
		p.Pred = r.Any(p.Pred)
	}
}

func (r *Rewriter) eventArgs(args []*EventArg) {
	for _, a := range args {
		r.typ(a.Type)
		a.Value = r.Any(a.Value)
	}
}
