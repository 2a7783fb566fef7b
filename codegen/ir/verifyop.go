package ir

// value checks the number of operands of an operation, their types, and that each may
// be used here.
func (c *verifier) value(b *Block, v *Value) error {
	if v.Op == OpPhi {
		return c.phi(b, v)
	}
	for _, x := range v.Args {
		if err := c.used(b, v, x, b, c.index[v]); err != nil {
			return err
		}
	}
	info := v.Op.Info()
	if info.Args >= 0 && len(v.Args) != info.Args {
		return at(b, v, "%d operands instead of %d", len(v.Args), info.Args)
	}
	if info.Access != NoAccess {
		return c.access(b, v, info.Access)
	}
	switch v.Op {
	case OpConst:
		if v.Type != Int {
			return at(b, v, "a constant that is %s", v.Type)
		}
	case OpParam:
		if v.Imm < 0 || v.Imm >= int64(len(c.f.Params)) || v.Type != c.f.Params[v.Imm] {
			return at(b, v, "no such parameter")
		}
		if b != c.f.Blocks[0] {
			return at(b, v, "parameter outside the entry block")
		}
	case OpSlot:
		if v.Imm <= 0 || v.Imm2 <= 0 || v.Imm2 > 8 || v.Imm2&(v.Imm2-1) != 0 {
			return at(b, v, "bad size or alignment")
		}
	case OpMapPtr, OpMapValue:
		return c.mapOf(b, v)
	case OpFuncAddr, OpCallFn:
		if !c.funcs[v.Fn] {
			return at(b, v, "function belongs to another program")
		}
		if v.Op == OpCallFn && len(v.Args) != len(v.Fn.Params) {
			return at(b, v, "%d arguments for %d parameters", len(v.Args), len(v.Fn.Params))
		}
	case OpAdd, OpSub:
		return c.sum(b, v)
	case OpEq, OpNe, OpULt, OpULe, OpSLt, OpSLe:
		x, y := v.Args[0], v.Args[1]
		if x.Type.NonNil() != y.Type.NonNil() && !isNull(x.Type, y) && !isNull(y.Type, x) {
			return at(b, v, "compares %s with %s", x.Type, y.Type)
		}
	case OpCall:
		return c.call(b, v)
	case OpKfunc:
		if len(v.Args) > 5 {
			return at(b, v, "more than 5 arguments")
		}
	case OpBarrier:
		return c.barrier(b, v)
	default: // arithmetic
		for i := range v.Args {
			// This does not check whether the kernel allows the use of a pointer as a
			// number.
			if v.Args[i].Type == MapRef || v.Args[i].Type == FuncRef {
				return at(b, v, "arithmetic on %s", v.Args[i].Type)
			}
		}
	}
	return nil
}

// phi checks the operands of a phi, each of which is used at the end of its
// predecessor.
func (c *verifier) phi(b *Block, v *Value) error {
	for i, x := range v.Args {
		p := b.Preds[i]
		if !c.dom.Reachable(p) {
			continue
		}
		if err := c.used(b, v, x, p, len(p.Values)); err != nil {
			return err
		}
		if v.Type == Int && x.Type == PtrBTF {
			continue // only the address is used from here on
		}
		if x.Type != v.Type && !(x.Type.NonNil() == v.Type && c.nonNil(x, p, b)) && x.Type != v.Type.NonNil() && !isNull(v.Type, x) {
			return at(b, v, "v%d is %s", x.ID, x.Type)
		}
	}
	return nil
}

// address checks that operand i is an address and not null.
func (c *verifier) address(b *Block, v *Value, i int) error {
	x := v.Args[i]
	if !x.Type.IsPtr() {
		return at(b, v, "v%d is %s, not an address", x.ID, x.Type)
	}
	if x.Type != x.Type.NonNil() && !c.nonNil(x, b, nil) {
		return at(b, v, "v%d may be null here", x.ID)
	}
	return nil
}

// integer checks that operand i is an integer.
func integer(b *Block, v *Value, i int) error {
	if x := v.Args[i]; x.Type != Int {
		return at(b, v, "v%d is %s, not an integer", x.ID, x.Type)
	}
	return nil
}

// access checks an operation that reads or writes memory.
func (c *verifier) access(b *Block, v *Value, access Access) error {
	if access != Loads && (v.Args[0].Type == PtrBTF || v.Args[0].Type == PtrCtx && access != Stores) {
		return at(b, v, "writes to %s", v.Args[0].Type)
	}
	if v.Width() <= 0 {
		return at(b, v, "bad size")
	}
	if access == Loads && v.Type == Void {
		return at(b, v, "a load without result")
	}
	if access == Moves {
		if err := c.address(b, v, 1); err != nil {
			return err
		}
	}
	return c.address(b, v, 0)
}

// mapOf checks an operation that names a map.
func (c *verifier) mapOf(b *Block, v *Value) error {
	if v.Map == nil || c.maps[v.Map.Name] != v.Map {
		return at(b, v, "map belongs to another module")
	}
	if v.Op == OpMapValue {
		if v.Map.Type != Array {
			return at(b, v, "direct value of a map that is %s", v.Map.Type)
		}
		if v.Imm < 0 || v.Imm >= int64(v.Map.ValueSize) {
			return at(b, v, "outside the value of %d bytes", v.Map.ValueSize)
		}
	}
	return nil
}

// sum checks an addition or a subtraction, whose operands can be addresses.
func (c *verifier) sum(b *Block, v *Value) error {
	x, y := v.Args[0].Type, v.Args[1].Type
	switch {
	case x.IsPtr() && y == Int:
		if err := c.address(b, v, 0); err != nil {
			return err
		}
		if v.Type != x.NonNil() && v.Type != x {
			return at(b, v, "pointer changes from %s to %s", x, v.Type)
		}
		if x == PtrCtx && v.Args[1].Op != OpConst {
			return at(b, v, "context address is not constant")
		}
	case v.Op == OpSub && x.IsPtr() && y.IsPtr():
		if v.Type != Int {
			return at(b, v, "difference of pointers that is %s", v.Type)
		}
	default:
		if err := integer(b, v, 0); err != nil {
			return err
		}
		if err := integer(b, v, 1); err != nil {
			return err
		}
		if v.Type != Int {
			return at(b, v, "sum of integers that is %s", v.Type)
		}
	}
	return nil
}

// call checks the call of a helper.
func (c *verifier) call(b *Block, v *Value) error {
	if v.Help == nil {
		return at(b, v, "no helper")
	}
	if v.Help.Args >= 0 && len(v.Args) != v.Help.Args {
		return at(b, v, "%s takes %d arguments", v.Help.Name, v.Help.Args)
	}
	if len(v.Args) > 5 {
		return at(b, v, "more than 5 arguments")
	}
	for i, x := range v.Args {
		if x.Type == PtrRecNil || x.Type == PtrMapNil {
			if err := c.address(b, v, i); err != nil {
				return err
			}
		}
	}
	return nil
}

// barrier checks an operation that hides the origin of a value from the optimiser.
func (c *verifier) barrier(b *Block, v *Value) error {
	x := v.Args[0].Type
	switch {
	case v.Type == x:
		return nil
	case v.Type == Int && (x == PtrCtx || x == PtrBTF || x == PtrMap || x == PtrSlot):
		return nil // only the address is used, see Builder.AsInt
	case v.Type == MapRef && x == PtrMapNil: // an element of an array of maps
		return c.address(b, v, 0)
	case v.Type != x.NonNil():
		return at(b, v, "barrier changes %s to %s", x, v.Type)
	}
	return c.address(b, v, 0)
}
