package ir

// Control flow for code that is built in order. After each helper, the current block is
// the one where its paths join. Paths that end with a return or a jump elsewhere do not
// reach it.

// If emits then, which runs if cond is not 0.
//
//go:noinline
func (b *Builder) If(cond *Value, then func()) {
	b.Either(func(t, e *Block) { b.Br(cond, t, e) }, then, nil)
}

// Either emits branch, which ends the current block and goes to t or to e, then at t, and
// els at e, which may be nil. No code is reachable after it if both end with a return or
// a jump elsewhere.
func (b *Builder) Either(branch func(t, e *Block), then, els func()) {
	t, e := b.NewBlock(), b.NewBlock()
	branch(t, e)
	b.SealSet(t)
	then()
	if els == nil {
		b.Join(e)
		return
	}
	var join *Block
	if b.Cur != nil {
		join = b.NewBlock()
		b.Jump(join)
	}
	b.SealSet(e)
	els()
	if join == nil && b.Cur != nil {
		join = b.NewBlock()
	}
	if join != nil {
		b.Join(join)
	}
}

// Unless emits els, which runs if cond is 0.
func (b *Builder) Unless(cond *Value, els func()) {
	join, e := b.NewBlock(), b.NewBlock()
	b.Br(cond, join, e)
	b.SealSet(e)
	els()
	b.Join(join)
}

// IfElse emits then, which runs if cond is not 0, and els, which runs otherwise. It
// returns the result of the one that runs. Both may return nil.
func (b *Builder) IfElse(cond *Value, then, els func() *Value) *Value {
	t, e, join := b.NewBlock(), b.NewBlock(), b.NewBlock()
	b.Br(cond, t, e)
	var vals []*Value
	for i, blk := range []*Block{t, e} {
		b.SealSet(blk)
		v := [](func() *Value){then, els}[i]()
		if b.Cur != nil {
			vals = append(vals, v)
			b.Jump(join)
		}
	}
	b.SealSet(join)
	return b.Merge(vals)
}

// IfNonNil emits use, which runs if p is not null and receives p as a non-null pointer.
//
//go:noinline
func (b *Builder) IfNonNil(p *Value, use func(p *Value)) {
	b.If(p, func() { use(b.NonNil(p)) })
}

// WhenNil emits use, which runs if p is not null and receives p as a non-null pointer,
// and none, which runs if p is null. It returns the result of the one that runs.
//
//go:noinline
func (b *Builder) WhenNil(p *Value, use func(p *Value) *Value, none func() *Value) *Value {
	return b.IfElse(p, func() *Value { return use(b.NonNil(p)) }, none)
}

// Need continues if cond is not 0, and otherwise jumps to out.
func (b *Builder) Need(cond *Value, out *Block) {
	next := b.NewBlock()
	b.Br(cond, next, out)
	b.SealSet(next)
}

// Leave continues if cond is 0, and otherwise jumps to out.
func (b *Builder) Leave(cond *Value, out *Block) {
	next := b.NewBlock()
	b.Br(cond, out, next)
	b.SealSet(next)
}

// Join continues at blk, to which other code jumps as well. All those jumps must have
// been emitted.
//
//go:noinline
func (b *Builder) Join(blk *Block) {
	if b.Cur != nil {
		b.Jump(blk)
	}
	b.SealSet(blk)
}

// Section emits body, which may jump to out to leave it. The code after it starts at out.
//
//go:noinline
func (b *Builder) Section(body func(out *Block)) {
	out := b.NewBlock()
	body(out)
	b.Join(out)
}

// While emits a loop. Before each iteration, cond ends the current block with a branch
// to in, where the iteration starts, or to out, where the code after the loop starts.
// body may jump to head for the next iteration, or to out.
func (b *Builder) While(cond func(in, out *Block), body func(head, out *Block)) {
	head, in, out := b.NewBlock(), b.NewBlock(), b.NewBlock()
	b.Jump(head)
	b.SetBlock(head)
	cond(in, out)
	b.SealSet(in)
	body(head, out)
	if b.Cur != nil {
		b.Jump(head)
	}
	b.Seal(head)
	b.SealSet(out)
}

// Count emits a loop that runs body for i from 0 to n-1. body may jump to out to end it.
func (b *Builder) Count(n int, body func(i *Value, out *Block)) {
	i := &Var{Name: "i", Type: Int}
	b.Write(i, b.Const(0))
	b.Step(i, 1, func() *Value { return b.Op(OpULt, b.Read(i), b.Const(int64(n))) }, func(out *Block) { body(b.Read(i), out) })
}

// Step emits a loop that runs body and then adds step to i, as long as cond is not 0.
// body may jump to out to end it.
func (b *Builder) Step(i *Var, step int64, cond func() *Value, body func(out *Block)) {
	b.While(func(in, out *Block) {
		b.Br(cond(), in, out)
	}, func(_, out *Block) {
		body(out)
		b.Write(i, b.Op(OpAdd, b.Read(i), b.Const(step)))
	})
}

// Merge returns the element of vals that belongs to the path on which the current block
// was reached. vals has one element for each predecessor, in order. Merge returns nil
// if they are nil, and 0 if there are none.
func (b *Builder) Merge(vals []*Value) *Value {
	switch {
	case len(vals) == 0:
		return b.Const(0)
	case len(vals) == 1 || vals[0] == nil:
		return vals[0]
	}
	t := vals[0].Type
	for _, v := range vals[1:] {
		t = mergeType(t, vals[0], v)
	}
	return b.Phi(t, vals...)
}

// mergeType returns the type of a phi of x, whose type so far is t, and y. A pointer
// stays a pointer if the other value is a pointer of the same kind or null.
func mergeType(t Type, x, y *Value) Type {
	null := func(v *Value) bool { return v.Op == OpConst && v.Imm == 0 }
	nullable := func(t Type) Type {
		switch t {
		case PtrMap:
			return PtrMapNil
		case PtrRec:
			return PtrRecNil
		}
		return t
	}
	switch {
	case t == y.Type:
		return t
	case t.IsPtr() && null(y):
		return nullable(t)
	case y.Type.IsPtr() && null(x):
		return nullable(y.Type)
	case t.NonNil() == y.Type.NonNil():
		return nullable(t)
	}
	return Int
}

// Same returns x. It is the use function of WhenNil if only the replacement for null
// must be emitted.
func Same(x *Value) *Value { return x }
