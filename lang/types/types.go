// Package types defines the types of the language: the kind of a value, its size in
// memory and, for pointers and the objects that they point to, the address space of the
// object.
//
// Types are immutable once built and are compared with Equal. Struct members are
// resolved on demand, so that naming task_struct costs nothing until one of its fields
// is looked up.
package types

import (
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Kind is the class of a type.
type Kind uint8

const (
	Invalid Kind = iota // an expression with an error that has been reported
	Void
	Bool
	Int
	Enum
	String  // Size bytes including the terminating NUL
	Buffer  // a 4-byte length, then Size-4 bytes of data: buf()
	Pointer // to Elem in Space
	Array   // Len × Elem
	Struct  // struct or union, from BTF, DWARF or the script
	Tuple   // Fields named "0", "1", …
	Record  // named Fields
	Opaque  // a builtin's own printable type (Name is its Def's type name): ksym_t, inet, timestamp, …
	Agg     // an aggregation in a map (Name is its Def's): count_t, hist_t, …
)

// Space is the address space of an object.
type Space uint8

const (
	NoSpace Space = iota // BPF's own memory: stack, scratch, map values
	Ctx                  // the program's context: plain loads at constant offsets
	Kernel               // kernel memory: probe_read_kernel
	BTF                  // kernel memory that is reached through a pointer whose type the verifier knows: plain loads
	User                 // user memory: probe_read_user
)

// Literal reports whether an integer type is that of a literal. Such a type follows
// from the value of the literal until it is combined with a written type or with the
// type of a variable or field.
type Literal uint8

const (
	NoLiteral Literal = iota
	FreeSign          // a literal that is not negative: it adopts the sign of the other operand
	OwnSign           // a literal that is negative, or too large for a signed type
)

// Type is a type of the language. Kind determines which of the other fields are
// used.
type Type struct {
	Kind   Kind
	Name   string     // Struct: "struct foo", "union u"; Enum: "enum e"; Opaque, Agg: name of the type; Int: C name if it has one
	Size   int        // bytes in memory
	Signed bool       // Int, Enum; Agg: signedness of the aggregated values
	Elem   *Type      // Pointer, Array
	Len    int        // Array
	Space  Space      // Pointer: of its target; Struct, Array, String: of the object itself
	Leads  Space      // Struct, Array in own memory: space of pointers in it whose type has none
	Params []int64    // Opaque, Agg: parameters (hist k, lhist min max step, kstack depth …)
	Fields []Field    // Tuple, Record
	Comp   *Composite // Struct
	Consts *EnumDef   // Enum
	Full   bool       // String: may fill its Size bytes and then has no NUL
	Lit    Literal    // Int: whether it is the type of a literal
	Word   bool       // Int: a whole register or stack slot that may hold a narrower value (see TWord)
	BTFID  uint32     // id in the kernel's BTF, 0 if it has none (Struct, Enum, Int)
	Split  bool       // BTFID belongs to the BTF of a module (Struct)

	Castable bool   // Agg: an expression can read it as the integer type that Decay returns
	Copyable bool   // Agg: a print or a tuple can contain a copy, with the values of all CPUs merged
	Twin     string // Agg: name of the same aggregation of integers with the other signedness; "" if there is none
}

// Field is a member of a struct, union, tuple or record.
type Field struct {
	Name    string // "" for an anonymous struct or union
	Type    *Type
	Off     int  // bytes from the start of the enclosing object
	BitOff  int  // bitfields: offset in bits within the storage at Off
	BitSize int  // bitfields: width in bits; 0 otherwise
	DataLoc bool // tracepoint __data_loc: the u32 at Off holds length<<16 | offset from the context
	RelLoc  bool // tracepoint __rel_loc: the same, but the offset is relative to the end of the u32
	Copy    int  // DataLoc, RelLoc: offset of the value in a copy of the object; 0: it has none
	Closed  bool // in a context: the verifier does not allow a load, so it is read as memory
	Net     bool // an integer in network byte order
	Has     int  // bit of the u32 at the start of the enclosing object that is set if this member exists; 0: it always exists
	Loc     *Loc // parameter of a user function: its location in a context, used instead of Off
}

// Recorded reports whether the field holds the location of its value within a
// tracepoint's record, instead of the value.
func (f Field) Recorded() bool { return f.DataLoc || f.RelLoc }

// IsCounted reports whether t is a struct with an address and a number of elements of
// the given kind.
func (t *Type) IsCounted(of Counted) bool {
	return t.Kind == Struct && t.Comp != nil && t.Comp.Counted == of
}

// IsDynamic reports whether t is an interface of Go.
func (t *Type) IsDynamic() bool { return t.Kind == Struct && t.Comp != nil && t.Comp.Dynamic }

// Loc is the location of a parameter or result when its function starts or returns. The
// object is in memory, or in parts in registers, which the context contains.
type Loc struct {
	// If Memory is set, the object is in user memory, Disp bytes past the
	// address in the word at Base in the context.
	Memory bool
	Base   int
	Disp   int64
	Parts  []Part
	Err    string // why it cannot be read; "" if it can
}

// Part is a part of an object: Size bytes at Off in the object. It consists of the
// lowest bytes of the sum of the word at From in the context and Value or, if Fixed is
// set, of Value alone.
type Part struct {
	From, Off, Size int
	Fixed           bool
	Value           uint64
}

// Composite holds the members of a struct or union. They are resolved on first
// use and shared by all copies of the type.
type Composite struct {
	Union   bool
	Align   int
	Counted Counted
	Dynamic bool // an interface of Go: the address of a type's description, and the address of the value
	once    sync.Once
	resolve func() []Field
	fields  []Field
}

// Counted describes a struct whose first member is the address of as many elements as
// its second member specifies, such as the strings and slices of Go and Rust.
type Counted uint8

const (
	NotCounted   Counted = iota
	CountedItems         // elements of any type
	CountedText          // bytes that are text
)

// NewComposite returns a body that calls resolve when its fields are first
// used.
//
//go:noinline
func NewComposite(union bool, resolve func() []Field) *Composite {
	return &Composite{Union: union, resolve: resolve}
}

// Fields returns the members in declaration order.
func (c *Composite) Fields() []Field {
	c.once.Do(func() {
		if c.resolve != nil {
			c.fields = c.resolve()
		}
	})
	return c.fields
}

// EnumDef holds the constants of an enum in declaration order.
type EnumDef struct{ Values []EnumValue }

// EnumValue is one enum constant.
type EnumValue struct {
	Name  string
	Value int64
}

// Name returns the constant with that value, or "".
func (e *EnumDef) Name(v int64) string {
	for _, c := range e.Values {
		if c.Value == v {
			return c.Name
		}
	}
	return ""
}

// Types that every script can use without a declaration.
var (
	TInvalid = &Type{Kind: Invalid}
	TVoid    = &Type{Kind: Void}
	TBool    = &Type{Kind: Bool, Size: 1}
	TInt8    = &Type{Kind: Int, Size: 1, Signed: true}
	TInt16   = &Type{Kind: Int, Size: 2, Signed: true}
	TInt32   = &Type{Kind: Int, Size: 4, Signed: true}
	TInt64   = &Type{Kind: Int, Size: 8, Signed: true}
	TUint8   = &Type{Kind: Int, Size: 1}
	TUint16  = &Type{Kind: Int, Size: 2}
	TUint32  = &Type{Kind: Int, Size: 4}
	TUint64  = &Type{Kind: Int, Size: 8}

	// TWord is a uint64 of unknown type that a program passed: argN or retval of a
	// function without type information. If it contains a C int, its upper half is
	// undefined, so %d prints a value that looks like a negative int as one. The
	// results of arithmetic on it are plain integers.
	TWord = &Type{Kind: Int, Size: 8, Word: true}
)

// NewInt returns the integer type of the given size in bytes (1, 2, 4, 8) and
// signedness.
//
//go:noinline
func NewInt(size int, signed bool) *Type {
	switch {
	case signed && size == 1:
		return TInt8
	case signed && size == 2:
		return TInt16
	case signed && size == 4:
		return TInt32
	case signed:
		return TInt64
	case size == 1:
		return TUint8
	case size == 2:
		return TUint16
	case size == 4:
		return TUint32
	}
	return TUint64
}

// NewString returns the type of a string of at most size-1 bytes and a NUL.
//
//go:noinline
func NewString(size int) *Type { return &Type{Kind: String, Size: size} }

// NewChars returns the type of a string that is a C array of n characters.
func NewChars(n int) *Type { return &Type{Kind: String, Size: n, Full: true} }

// MaxBytes returns the maximum number of bytes of a string.
func (t *Type) MaxBytes() int {
	if t.Full {
		return t.Size
	}
	return t.Size - 1
}

// NewBuffer returns the type of buf() for at most n bytes of data.
//
//go:noinline
func NewBuffer(n int) *Type { return &Type{Kind: Buffer, Size: n + 4, Len: n} }

// NewPointer returns the type of a pointer to elem in space.
//
//go:noinline
func NewPointer(elem *Type, space Space) *Type {
	return &Type{Kind: Pointer, Size: 8, Elem: elem, Space: space}
}

// NewArray returns the type of an array of n elements.
//
//go:noinline
func NewArray(elem *Type, n int) *Type {
	return &Type{Kind: Array, Elem: elem, Len: n, Size: n * elem.Size}
}

// NewTuple returns a tuple of elems in order, each at its natural alignment (at
// most 8). The size is rounded up to the largest alignment.
//
//go:noinline
func NewTuple(elems ...*Type) *Type { return layout(Tuple, nil, elems) }

// NewRecord returns a tuple with named elements.
//
//go:noinline
func NewRecord(names []string, elems []*Type) *Type { return layout(Record, names, elems) }

func layout(k Kind, names []string, elems []*Type) *Type {
	t := &Type{Kind: k}
	align := 1
	for i, e := range elems {
		name := fmt.Sprint(i)
		if names != nil {
			name = names[i]
		}
		a := e.Align()
		align = max(align, a)
		t.Size = RoundUp(t.Size, a)
		t.Fields = append(t.Fields, Field{Name: name, Type: e, Off: t.Size})
		t.Size += e.Size
	}
	t.Size = RoundUp(t.Size, align)
	return t
}

// RoundUp returns the smallest multiple of to that is at least n, or n if to is 0.
//
//go:noinline
func RoundUp[T int | int64](n, to T) T {
	if to <= 1 {
		return n
	}
	return (n + to - 1) / to * to
}

// Align returns the type's alignment in bytes in a tuple or record.
func (t *Type) Align() int {
	switch t.Kind {
	case Array:
		return t.Elem.Align()
	case String:
		return 1
	case Buffer:
		return 4
	case Tuple, Record:
		a := 1
		for _, f := range t.Fields {
			a = max(a, f.Type.Align())
		}
		return a
	case Struct, Opaque, Agg:
		if t.Comp != nil && t.Comp.Align > 0 {
			return t.Comp.Align
		}
		return 8
	case Bool, Int, Enum, Pointer:
		return max(t.Size, 1)
	}
	return 1
}

// IsScalar reports whether a value of the type is one machine word, which is computed
// in a register. All others are accessed by address.
//
//go:noinline
func (t *Type) IsScalar() bool {
	switch t.Kind {
	case Bool, Int, Enum, Pointer:
		return true
	case Opaque:
		return t.Size <= 8 && t.Size&(t.Size-1) == 0
	}
	return false
}

// IsInteger reports whether values of the type can be operands of integer arithmetic.
func (t *Type) IsInteger() bool { return t.Kind == Int || t.Kind == Enum || t.Kind == Bool }

// InSpace returns the type with its address space set to s: that of the object,
// or of the target of a pointer.
//
//go:noinline
func (t *Type) InSpace(s Space) *Type {
	if t.Space == s {
		return t
	}
	c := *t
	c.Space = s
	return &c
}

// Field finds a member by name, including members of anonymous structs and unions. Its
// Off is relative to the start of t. Pointers and nested objects inherit t's space.
func (t *Type) Field(name string) (Field, bool) {
	for _, f := range t.Members() {
		if f.Name == name {
			return f, true
		}
	}
	for _, f := range t.Members() {
		if f.Name == "" && f.Type.Kind == Struct {
			if g, ok := f.Type.Field(name); ok {
				g.Off += f.Off
				return g, true
			}
		}
	}
	return Field{}, false
}

// Members returns the direct members of a struct, tuple or record.
//
//go:noinline
func (t *Type) Members() []Field {
	if t.Kind == Struct && t.Comp != nil {
		return t.Comp.Fields()
	}
	return t.Fields
}

// FieldNames returns all names that Field finds, for hints.
func (t *Type) FieldNames() []string {
	var names []string
	for _, f := range t.Members() {
		if f.Name != "" {
			names = append(names, f.Name)
		} else if f.Type.Kind == Struct {
			names = append(names, f.Type.FieldNames()...)
		}
	}
	return names
}

// Equal reports whether two types are the same. It ignores address spaces.
func Equal(a, b *Type) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.Kind != b.Kind || a.Size != b.Size || a.Len != b.Len {
		return false
	}
	switch a.Kind {
	case Int:
		return a.Signed == b.Signed
	case Pointer, Array:
		return Equal(a.Elem, b.Elem)
	case Struct, Enum:
		return a.Name == b.Name
	case Tuple, Record:
		if len(a.Fields) != len(b.Fields) {
			return false
		}
		for i := range a.Fields {
			if a.Fields[i].Name != b.Fields[i].Name || !Equal(a.Fields[i].Type, b.Fields[i].Type) {
				return false
			}
		}
	case Opaque, Agg:
		return a.Name == b.Name && a.Signed == b.Signed && a.SameParams(b)
	}
	return true
}

// SameParams reports whether t and u have the same Params.
//
//go:noinline
func (t *Type) SameParams(u *Type) bool { return slices.Equal(t.Params, u.Params) }

// Decay returns the type of a copy of a value of type t: an aggregation that an
// expression can read becomes an integer.
//
//go:noinline
func (t *Type) Decay() *Type {
	if t.Kind == Agg && t.Castable {
		return NewInt(8, t.Signed)
	}
	return t
}

// String returns the type as diagnostics and typeof print it.
func (t *Type) String() string {
	if t == nil {
		return "none"
	}
	switch t.Kind {
	case Void:
		return "void"
	case Bool:
		return "bool"
	case Int:
		if t.Signed {
			return fmt.Sprintf("int%d", t.Size*8)
		}
		return fmt.Sprintf("uint%d", t.Size*8)
	case String:
		return fmt.Sprintf("string[%d]", t.Size)
	case Buffer:
		return fmt.Sprintf("buffer[%d]", t.Len)
	case Pointer:
		return t.Elem.String() + " *"
	case Array:
		return fmt.Sprintf("%s[%d]", t.Elem, t.Len)
	case Tuple:
		var parts []string
		for _, f := range t.Fields {
			parts = append(parts, f.Type.String())
		}
		return "(" + strings.Join(parts, ",") + ")"
	case Record:
		var parts []string
		for _, f := range t.Fields {
			parts = append(parts, "."+f.Name+" = "+f.Type.String())
		}
		return "record { " + strings.Join(parts, ", ") + " }"
	case Struct, Enum, Opaque, Agg:
		return t.Name
	}
	return "none"
}
