package lower

import (
	"fmt"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/codegen/plan"
	"github.com/gotrace/gotrace/probes"
	"github.com/gotrace/gotrace/runtime/object"
)

// A string of plan.Retries that is not in memory when a call begins is empty in the
// script's map. Its address is stored in a separate map, by the thread, until a program
// at the return of the call removes it and reads the string again. These rules make this
// safe:
//
//   - The address belongs to the memory of the thread at the call. If exec has replaced the
//     memory since, the string is not read.
//   - Programs at the call delete the address of an earlier call whose return was missed.
//     They do so for all threads, also for threads that flags such as --comm now exclude.
//   - The string is written only over an empty one, in the entry that the same thread made.
//   - Each string is counted as unread at the call. When it is read later, it is no longer
//     counted. So no string is missed silently, even if the return never comes.
//
// A word of unreadMap is the number of addresses that are kept. As long as it is 0,
// programs do not look for any.

const (
	unreadMap   = "unread"
	maxUnread   = 4096 // addresses kept at a time, for each string of the script
	unreadValue = 16   // bytes: the address of the string, then that of the thread's memory
)

// readLater keeps the address of a string that could not be read. A null pointer is a
// failed read like others.
func (f *fn) readLater(r *plan.Retry, src *ir.Value) {
	span := f.b.Pos
	isNull := f.b.Op(ir.OpEq, src, f.b.Const(0))
	f.b.If(isNull, func() { f.Count(object.ReadFault, span, ir.ReadUserStr.Name) })
	f.b.Unless(isNull, func() {
		f.Count(object.UnreadText, r.Call.Span, "")
		b := f.b
		v := b.Slot(unreadValue)
		b.Store(v, 0, 8, src)
		f.storeMemory(b.AddImm(v, 8))
		b.Call(ir.MapUpdate, b.MapPtr(f.unreadStrings(r)), f.threadKey(), v, b.Const(0))
		b.AtomicAdd(f.numUnread(), 0, 8, b.Const(1))
	})
}

// unreadAtStart takes the addresses of the running thread's strings out of their maps and
// emits use for them.
func (f *fn) unreadAtStart(list []*plan.Retry, use func(r *plan.Retry, src, memory *ir.Value)) {
	if len(list) == 0 {
		return
	}
	f.b.If(f.b.Load(f.numUnread(), 0, 8, false), func() {
		f.b.Cur.Unlikely = true
		for _, r := range list {
			f.at(r.Call.Span)
			m := f.unreadStrings(r)
			key := f.threadKey()
			f.b.IfNonNil(f.b.Call(ir.MapLookup, f.b.MapPtr(m), key), func(p *ir.Value) {
				src := f.b.Load(p, 0, 8, false)
				memory := f.b.Load(p, 8, 8, false)
				f.b.Call(ir.MapDelete, f.b.MapPtr(m), key)
				f.b.AtomicAdd(f.numUnread(), 0, 8, f.b.Const(-1))
				use(r, src, memory)
			})
		}
	})
}

// complete reads the string at src in the given memory into the script's map if it is
// empty there.
func (f *fn) complete(r *plan.Retry, src, memory *ir.Value) {
	now := f.b.Slot(8)
	f.storeMemory(now)
	f.b.If(f.b.Op(ir.OpEq, memory, f.b.Load(now, 0, 8, false)), func() { f.completeEmpty(r, src) })
}

func (f *fn) completeEmpty(r *plan.Retry, src *ir.Value) {
	st, args := f.indexed(r.Target)
	key := f.key(st, args)
	use := func(p *ir.Value) {
		f.b.Unless(f.b.Load(p, int64(r.Off), 1, false), func() {
			st.Store.Assign(f, key, func(dst *ir.Value, size int) {
				n := st.Info.Value.Size
				f.b.Copy(dst, 0, p, n)
				clearTail(f.b, Dest{Ptr: dst, Size: size, Padded: true}, n)
				got := f.b.Call(ir.ReadUserStr, f.b.AddImm(dst, int64(r.Off)), f.b.Const(int64(r.Call.Type.Size)), src)
				f.b.Unless(f.b.Op(ir.OpSLt, got, f.b.Const(0)), func() { f.countBy(-1, object.UnreadText, r.Call.Span, "") })
			})
		})
	}
	f.ifMade(st.Store.Find(f, key), use)
}

// unreadStrings returns the map for the addresses of a string.
func (f *fn) unreadStrings(r *plan.Retry) *ir.Map {
	m := f.unreadAt[r]
	if m == nil {
		m = f.newMap(ir.Map{Name: fmt.Sprintf("unread%d", r.Number), Type: ir.LRUHash, KeySize: 8, ValueSize: unreadValue, MaxEntries: maxUnread})
		f.unreadAt[r] = m
	}
	return m
}

// threadKey returns the address of the running thread's ID in the initial pid namespace.
func (f *fn) threadKey() *ir.Value {
	k := f.b.Slot(8)
	f.b.Store(k, 0, 8, f.b.Call(ir.CurrentPidTgid))
	return k
}

// numUnread returns the address of the number of addresses that are kept.
func (f *fn) numUnread() *ir.Value {
	m := f.array(&f.unread, unreadMap)
	m.ValueSize = 8
	return f.b.MapValue(m, 0)
}

// storeMemory writes the address of the running thread's memory, its mm, to p.
func (f *fn) storeMemory(p *ir.Value) {
	off := int64(f.field("struct task_struct", "mm").Off)
	if f.k.Has(probes.FeatTaskBTF) {
		f.b.Store(p, 0, 8, f.b.Load(f.b.Call(ir.CurrentTaskBTF), off, 8, false))
		return
	}
	f.b.Call(ir.ReadKernel, p, f.b.Const(8), f.b.AddImm(f.b.Call(ir.CurrentTask), off))
}
