package lower

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/runtime/object"
)

// stamp fills the stamp of a record, if its event has one.
func (f *fn) stamp(rec *ir.Value, ev *object.Event) {
	if ev.Stamp == 0 {
		return
	}
	b, at := f.b, int64(ev.Stamp)
	b.Store(rec, at+object.StampTime, 8, b.Call(ir.KtimeBootNs))
	b.Store(rec, at+object.StampCPU, 8, b.Call(ir.SmpProcessorID))
	b.Zero(rec, at+object.StampComm, 16)
	if !f.prog.Ctx.InTask {
		b.Store(rec, at+object.StampTask, 8, b.Const(0))
		return
	}
	b.Store(rec, at+object.StampTask, 8, b.Call(ir.CurrentPidTgid))
	b.Call(ir.CurrentComm, b.AddImm(rec, at+object.StampComm), b.Const(16))
}

// reportCall sends the event of a call or a return, if the program is at one.
func (f *fn) reportCall() {
	c := f.prog.Call
	if c == nil {
		return
	}
	n := int64(len(f.res.Events))
	f.res.Events = append(f.res.Events, object.Event{Def: callReport, Span: f.prog.Span, Size: object.HeaderSize + object.StampSize, Stamp: object.HeaderSize, Call: c})
	defer f.at(f.at(f.prog.Span))
	const size = object.HeaderSize + object.StampSize
	write := func(p *ir.Value) {
		number := f.b.Const(0)
		if len(c.Names) > 1 {
			number = f.prog.Ctx.Event(f.b, f.ctxValue())
		}
		f.b.Store(p, 0, 4, f.b.Const(n))
		f.b.Store(p, object.HeaderAux, 4, number)
		f.stamp(p, &f.res.Events[n])
	}
	lost := func() { f.Count(object.LostEvent, f.prog.Span, callReport) }
	if f.recordsAll() {
		f.record(f.prog.Span, f.b.Const(size), size, write, lost)
	} else {
		f.submit(size, write, lost)
	}
}

// callReport is the name of such events in messages.
const callReport = "call"
