package ir

import "fmt"

// Op is an operation. Its row in ops holds the properties that the printer, parser,
// verifier, interpreter and passes use.
type Op uint8

const (
	OpInvalid  Op = iota
	OpConst       // Imm
	OpParam       // parameter Imm of the function
	OpPhi         // one argument per predecessor, in order
	OpSlot        // address of Imm bytes of memory aligned to Imm2, undefined content
	OpMapPtr      // Map as a helper argument
	OpMapValue    // address of byte Imm of the value of key 0 of array Map
	OpFuncAddr    // Fn as a callback argument

	OpAdd // pointer + integer has the pointer's type (pointer first)
	OpSub
	OpMul
	OpUDiv // x/0 is 0 and x%0 is x, as in BPF; the language's own rule is lowered to explicit code
	OpSDiv // INT64_MIN / -1 wraps
	OpUMod
	OpSMod
	OpAnd
	OpOr
	OpXor
	OpShl // shift counts are taken modulo 64
	OpShr // logical
	OpSar // arithmetic
	OpNeg

	OpSext8 // low bits extended to 64
	OpSext16
	OpSext32
	OpZext8
	OpZext16
	OpZext32
	OpBswap16 // result zero-extended
	OpBswap32
	OpBswap64

	OpEq
	OpNe
	OpULt
	OpULe
	OpSLt
	OpSLe

	OpLoad8 // [arg0 + Imm], zero-extended
	OpLoad16
	OpLoad32
	OpLoad64
	OpStore8 // [arg0 + Imm] = arg1
	OpStore16
	OpStore32
	OpStore64
	OpAtomicAdd32 // [arg0 + Imm] += arg1, no result
	OpAtomicAdd64
	OpAtomicOr64
	OpAtomicAnd64
	OpAtomicXor64
	OpFetchAdd64 // [arg0 + Imm] += arg1 atomically; the result is the old value
	OpXchg64     // [arg0 + Imm] = arg1 atomically; the result is the old value
	OpCmpXchg64  // [arg0 + Imm] = arg2 atomically if it equals arg1; the result is the old value
	OpZero       // sets Imm2 bytes at [arg0 + Imm] to 0
	OpCopy       // copies Imm2 bytes from arg1 to [arg0 + Imm]; both are directly addressable and do not overlap

	OpCall    // kernel helper Help
	OpCallFn  // function Fn of the same program
	OpKfunc   // kernel function Name; Imm is its BTF id
	OpBarrier // arg0 unchanged, but opaque to passes, so that bounds checks remain where the kernel's verifier needs them

	numOps
)

// Effect is a set of the effects of an op besides its result.
type Effect uint8

const (
	Reads  Effect = 1 << iota // memory
	Writes                    // memory, or other state; the op is never removed
)

// Access is how an op uses the memory at its first operand plus Imm.
type Access uint8

const (
	NoAccess Access = iota
	Loads
	Stores  // writes the second operand
	Updates // writes the second operand, or With of it and the old value, atomically; with three operands, the third if the second is the old value
	Fills   // writes Imm2 zero bytes
	Moves   // writes Imm2 bytes from the second operand
)

// Class tells whether an op computes its result from the values of its operands alone, by
// Eval.
type Class uint8

const (
	NoClass Class = iota
	Arith
	Compare // the result is 0 or 1
)

// Form is the part of the text form between an op's name and its operands.
type Form uint8

const (
	FormPlain  Form = iota
	FormImm         // Imm
	FormSlot        // Imm, and the alignment if it is not 8
	FormMap         // the map
	FormMapOff      // the map and Imm as an offset
	FormFunc        // the function
	FormHelper      // the helper
	FormKfunc       // Name and Imm
)

// OpInfo is a row of the op table.
type OpInfo struct {
	Name     string
	Args     int // number of operands; -1: any
	Class    Class
	Effect   Effect
	Result   Type // unless FromArg
	FromArg  bool // the result has arg 0's type
	Commutes bool
	Access   Access
	Size     int  // bytes accessed, unless Imm2 is that number
	Derives  bool // an address as the result points into the memory at which an operand points
	Calls    bool // a function, whose arguments are in registers and whose result is in r0
	With     Op   // Updates: the operation on the memory and the operand; OpInvalid: the operand replaces it
	Form     Form
}

var ops = [numOps]OpInfo{
	OpConst:    {Name: "const", Result: Int, Form: FormImm},
	OpParam:    {Name: "param", Result: Int, Form: FormImm},
	OpPhi:      {Name: "phi", Args: -1, Result: Int},
	OpSlot:     {Name: "slot", Result: PtrSlot, Form: FormSlot},
	OpMapPtr:   {Name: "map", Result: MapRef, Form: FormMap},
	OpMapValue: {Name: "mapvalue", Result: PtrMap, Form: FormMapOff},
	OpFuncAddr: {Name: "func", Result: FuncRef, Form: FormFunc},

	OpAdd:  {Name: "add", Class: Arith, Args: 2, FromArg: true, Derives: true, Commutes: true},
	OpSub:  {Name: "sub", Class: Arith, Args: 2, FromArg: true, Derives: true},
	OpMul:  {Name: "mul", Class: Arith, Args: 2, Result: Int, Commutes: true},
	OpUDiv: {Name: "udiv", Class: Arith, Args: 2, Result: Int},
	OpSDiv: {Name: "sdiv", Class: Arith, Args: 2, Result: Int},
	OpUMod: {Name: "umod", Class: Arith, Args: 2, Result: Int},
	OpSMod: {Name: "smod", Class: Arith, Args: 2, Result: Int},
	OpAnd:  {Name: "and", Class: Arith, Args: 2, Result: Int, Commutes: true},
	OpOr:   {Name: "or", Class: Arith, Args: 2, Result: Int, Commutes: true},
	OpXor:  {Name: "xor", Class: Arith, Args: 2, Result: Int, Commutes: true},
	OpShl:  {Name: "shl", Class: Arith, Args: 2, Result: Int},
	OpShr:  {Name: "shr", Class: Arith, Args: 2, Result: Int},
	OpSar:  {Name: "sar", Class: Arith, Args: 2, Result: Int},
	OpNeg:  {Name: "neg", Class: Arith, Args: 1, Result: Int},

	OpSext8:   {Name: "sext8", Class: Arith, Args: 1, Result: Int},
	OpSext16:  {Name: "sext16", Class: Arith, Args: 1, Result: Int},
	OpSext32:  {Name: "sext32", Class: Arith, Args: 1, Result: Int},
	OpZext8:   {Name: "zext8", Class: Arith, Args: 1, Result: Int},
	OpZext16:  {Name: "zext16", Class: Arith, Args: 1, Result: Int},
	OpZext32:  {Name: "zext32", Class: Arith, Args: 1, Result: Int},
	OpBswap16: {Name: "bswap16", Class: Arith, Args: 1, Result: Int},
	OpBswap32: {Name: "bswap32", Class: Arith, Args: 1, Result: Int},
	OpBswap64: {Name: "bswap64", Class: Arith, Args: 1, Result: Int},

	OpEq:  {Name: "eq", Class: Compare, Args: 2, Result: Int, Commutes: true},
	OpNe:  {Name: "ne", Class: Compare, Args: 2, Result: Int, Commutes: true},
	OpULt: {Name: "ult", Class: Compare, Args: 2, Result: Int},
	OpULe: {Name: "ule", Class: Compare, Args: 2, Result: Int},
	OpSLt: {Name: "slt", Class: Compare, Args: 2, Result: Int},
	OpSLe: {Name: "sle", Class: Compare, Args: 2, Result: Int},

	OpLoad8:       {Name: "load8", Args: 1, Effect: Reads, Result: Int, Size: 1, Access: Loads},
	OpLoad16:      {Name: "load16", Args: 1, Effect: Reads, Result: Int, Size: 2, Access: Loads},
	OpLoad32:      {Name: "load32", Args: 1, Effect: Reads, Result: Int, Size: 4, Access: Loads},
	OpLoad64:      {Name: "load64", Args: 1, Effect: Reads, Result: Int, Size: 8, Access: Loads},
	OpStore8:      {Name: "store8", Args: 2, Effect: Writes, Size: 1, Access: Stores},
	OpStore16:     {Name: "store16", Args: 2, Effect: Writes, Size: 2, Access: Stores},
	OpStore32:     {Name: "store32", Args: 2, Effect: Writes, Size: 4, Access: Stores},
	OpStore64:     {Name: "store64", Args: 2, Effect: Writes, Size: 8, Access: Stores},
	OpAtomicAdd32: {Name: "atomicadd32", Args: 2, Effect: Reads | Writes, Size: 4, Access: Updates, With: OpAdd},
	OpAtomicAdd64: {Name: "atomicadd64", Args: 2, Effect: Reads | Writes, Size: 8, Access: Updates, With: OpAdd},
	OpAtomicOr64:  {Name: "atomicor64", Args: 2, Effect: Reads | Writes, Size: 8, Access: Updates, With: OpOr},
	OpAtomicAnd64: {Name: "atomicand64", Args: 2, Effect: Reads | Writes, Size: 8, Access: Updates, With: OpAnd},
	OpAtomicXor64: {Name: "atomicxor64", Args: 2, Effect: Reads | Writes, Size: 8, Access: Updates, With: OpXor},
	OpFetchAdd64:  {Name: "fetchadd64", Args: 2, Effect: Reads | Writes, Result: Int, Size: 8, Access: Updates, With: OpAdd},
	OpXchg64:      {Name: "xchg64", Args: 2, Effect: Reads | Writes, Result: Int, Size: 8, Access: Updates},
	OpCmpXchg64:   {Name: "cmpxchg64", Args: 3, Effect: Reads | Writes, Result: Int, Size: 8, Access: Updates},
	OpZero:        {Name: "zero", Args: 1, Effect: Writes, Access: Fills},
	OpCopy:        {Name: "copy", Args: 2, Effect: Reads | Writes, Access: Moves},

	OpCall:    {Name: "call", Args: -1, Calls: true, Effect: Reads | Writes, Result: Int, Form: FormHelper}, // each helper has its own effect
	OpCallFn:  {Name: "callfn", Args: -1, Calls: true, Effect: Reads | Writes, Result: Int, Form: FormFunc},
	OpKfunc:   {Name: "kfunc", Args: -1, Calls: true, Effect: Reads | Writes, Result: Int, Form: FormKfunc},
	OpBarrier: {Name: "barrier", Args: 1, Effect: Writes, FromArg: true, Derives: true},
}

// Info returns the op's row of the table.
func (o Op) Info() *OpInfo { return &ops[o] }

// IsArith reports whether the op is arithmetic.
//
//go:noinline
func (o Op) IsArith() bool { return ops[o].Class == Arith }

// IsCompare reports whether the op is a comparison.
//
//go:noinline
func (o Op) IsCompare() bool { return ops[o].Class == Compare }

// LoadOp returns the op that loads size (1, 2, 4 or 8) bytes, StoreOp the one that stores
// them.
func LoadOp(size int) Op  { return sized(OpLoad8, size) }
func StoreOp(size int) Op { return sized(OpStore8, size) }

// sized returns the one of four ops, of which first is the first, that accesses size bytes.
//
//go:noinline
func sized(first Op, size int) Op {
	for o := first; o < first+4; o++ {
		if ops[o].Size == size {
			return o
		}
	}
	panic(fmt.Sprintf("ir: no operation accesses %d bytes", size))
}

// Loads reports whether v is a load of size bytes.
//
//go:noinline
func (v *Value) Loads(size int) bool {
	info := v.Op.Info()
	return info.Access == Loads && info.Size == size
}

// Calls reports whether v calls a helper, a function of the program or of the kernel.
//
//go:noinline
func (v *Value) Calls() bool { return v.Op.Info().Calls }

// Derives reports whether v is an address in the memory at which its first operand points,
// if v is an address at all.
//
//go:noinline
func (v *Value) Derives() bool { return v.Op.Info().Derives }

// Retypes reports whether v is its operand with another type, for which there is no code.
//
//go:noinline
func (v *Value) Retypes() bool { return v.Op == OpBarrier && v.Type != Int }

// Hides reports whether v is its operand as a number of which passes know nothing.
//
//go:noinline
func (v *Value) Hides() bool { return v.Op == OpBarrier && v.Type == Int }

// Ops returns all operations.
func Ops() []Op {
	list := make([]Op, 0, numOps)
	for o := OpInvalid + 1; o < numOps; o++ {
		list = append(list, o)
	}
	return list
}

// OpNamed returns the op with the given name, or OpInvalid if there is none.
func OpNamed(name string) Op {
	for o := range numOps {
		if ops[o].Name == name && o != OpInvalid {
			return o
		}
	}
	return OpInvalid
}

func (o Op) String() string { return ops[o].Name }

// Effect returns the effects of v besides its result.
//
//go:noinline
func (v *Value) Effect() Effect {
	if v.Op == OpCall {
		return v.Help.Effect
	}
	return v.Op.Info().Effect
}

// Width returns the number of bytes that v accesses at its first operand plus Imm, or
// 0 if it accesses no memory.
//
//go:noinline
func (v *Value) Width() int64 {
	switch info := v.Op.Info(); info.Access {
	case Fills, Moves:
		return v.Imm2
	default:
		return int64(info.Size)
	}
}
