// Package store implements the ways of keeping a script's maps in the kernel. Each way
// has one file. The file contains everything about it: the conditions for its use, the
// layout of a map, the code with which programs use the map, and the functions with which
// user space reads, clears and zeroes it.
//
//	slot.go     bytes of a shared array map: maps without keys
//	percpu.go   bytes of a shared per-CPU array map: aggregations without keys
//	spread.go   a hash map whose entries hold the values of all CPUs
//	hash.go     a hash map, or a per-CPU hash map for aggregations
//	split.go    two hash maps, one for short strings and one for long ones
//	parted.go   a hash map, or without keys an array, of the parts of large aggregations;
//	            a front table as in front.go takes most additions
//	sockets.go  the memory of the sockets that are the keys
//	front.go    a hash map and a per-CPU front table, which takes most additions
//	threads.go  a hash map and a table of entries keyed by the running thread
//
// A map goes through the package in three steps. Plan selects the way and lays out all
// maps of a script. A Store emits code into the programs. Open returns a Reader to the
// process that loaded the programs. Plan describes its decisions in object.Map, and
// Open needs nothing else. layout.go places the maps, table.go has the tables of slots,
// words.go splits keys into integers, elems.go and kernel.go access the kernel maps, and
// check.go checks the maps of a decoded object.
package store

import (
	"strings"

	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Use is a set of the operations that programs perform on a map.
type Use uint16

const (
	Add         Use = 1 << iota // add to a value without reading it
	Read                        // read a value, or test whether there is one
	Assign                      // assign a value
	Change                      // compute a value from the old one, other than by Add
	Delete                      // delete an entry
	Count                       // get the number of entries
	Iterate                     // visit all entries
	Address                     // take the address of the map
	Whole                       // print, clear or zero the whole map, in user space
	Reset                       // clear or zero it
	OtherThread                 // use a key that is not the running thread's ID
)

var useNames = []string{"add", "read", "assign", "change", "delete", "count", "iterate", "address", "whole", "reset", "other-thread"}

// String lists the uses by name.
func (u Use) String() string {
	text := ""
	for i, name := range useNames {
		if u&(1<<i) != 0 {
			text += " " + name
		}
	}
	if text == "" {
		return "none"
	}
	return text[1:]
}

// Spec describes a map before Plan selects a store for it.
type Spec struct {
	Name       string      // including the @
	Span       source.Span // for errors
	Key        *types.Type // as stored; nil: no key
	Value      *types.Type
	Max        int  // maximum number of entries
	Declared   bool // the script declares the type of the map: see PerCPU and LRU
	PerCPU     bool
	LRU        bool
	Uses       Use
	Programs   []int // programs that use it
	Sockets    bool  // the kernel knows all keys as sockets, in programs that may keep values with these
	ValueParts int   // size of a part in bytes if a value may be kept in parts; otherwise 0

	shared  bool // it must share its hash map with others
	fronted bool // it has a front table
}

func (s *Spec) isAgg() bool { return s.Value.Kind == types.Agg }

// valueSize returns the size of a value in bytes.
func (s *Spec) valueSize() int { return max(s.Value.Size, 1) }

// MaxPerCPU is the kernel's limit for the value of a per-CPU map, in bytes.
const MaxPerCPU = 32 << 10

// KeySize returns the size of an encoded key in bytes. Longer keys are padded with
// zeros to whole words, as the kernel hashes these in half the time.
//
//go:noinline
func KeySize(t *types.Type) int {
	if t.Size <= 4 {
		return max(t.Size, 1)
	}
	return word(t.Size)
}

// word rounds n up to whole words.
func word(n int) int { return types.RoundUp(n, 8) }

// A Key is an encoded key in a program's memory. Only the store that encoded it may use
// it.
type Key struct {
	// Ptr is the address of the key, padded to KeySize; nil: the map has no keys.
	Ptr *ir.Value
	// whole is the address of the kernel's key, in which the map's number precedes the
	// script's key; nil: it is Ptr.
	whole *ir.Value
	// In a split map, short and long are the addresses of the key for the two hash maps.
	// isLong is a word that is not 0 if the long key has to be used. If the choice is
	// known at compile time, the other address is nil.
	isLong, short, long *ir.Value
	// socket is the expression of a key that is a socket.
	socket KeyExpr
}

// KeyExpr is the key expression of a map access.
type KeyExpr interface {
	// Literal returns the text of a string that is known at compile time.
	Literal() (text string, ok bool)
	// StringSize returns the maximum size in bytes, including the NUL, if the key is a
	// single string. Otherwise it returns 0.
	StringSize() int
	// InMemory returns the address of a string that is already in the program's memory,
	// or nil.
	InMemory() *ir.Value
	// Source returns the address from which a string must be copied.
	Source(g Gen) (src *ir.Value, space types.Space, ok bool)
	// Object emits code that runs found with the pointer that is the key, in the form
	// that the kernel's verifier knows. If a pointer on the way to it is null, the code
	// runs none instead.
	Object(found func(p *ir.Value), none func())
	// Write evaluates the key as a value of type t into size bytes at p. It zeroes the
	// bytes that it does not need.
	Write(t *types.Type, p *ir.Value, size int)
}

// Gen is the code generator that a store uses.
type Gen interface {
	// B returns the builder at the current position.
	B() *ir.Builder
	// Temp returns the address of size bytes that are valid for the rest of the
	// program.
	Temp(size int) *ir.Value
	// Rodata returns the address of constant bytes. Zeros returns the address of n zero
	// bytes.
	Rodata(data []byte) *ir.Value
	Zeros(n int) *ir.Value
	// Surely returns p with a null check that only the verifier needs: p is never null.
	Surely(p *ir.Value) *ir.Value
	// EachCPU runs body for each possible CPU.
	EachCPU(body func(cpu *ir.Value))
	// Count increments the counter of an error at s.
	Count(kind object.SiteKind, s source.Span, what string)
	// ReadStr copies a string of at most size bytes, including the NUL, from src to
	// dst. It returns the length including the NUL, or a negative number on a fault.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
}

// A Store emits the code by which programs use a map. The pointers that it returns
// point to a value in the kernel map itself. Plan selects a store that supports all
// uses of the map; other methods panic.
type Store interface {
	// Key encodes a key; e is nil for a map without keys.
	Key(g Gen, e KeyExpr) Key
	// Find returns the value of a key, or null (type PtrMapNil) if there is none. A
	// store whose value always exists returns it; it is zero until it is set.
	Find(g Gen, k Key) *ir.Value
	// Present is like Find, but also returns null for a value that is not set.
	Present(g Gen, k Key) *ir.Value
	// Make returns the value of a key. If there is none, it creates one of zeros. If
	// the map is full, it counts the error and returns null.
	Make(g Gen, k Key) *ir.Value
	// Share is like Make, but the value may only be added to. It may return one of
	// several values, which user space merges.
	Share(g Gen, k Key) *ir.Value
	// Assign sets the value of a key to the size bytes that fill writes at p.
	Assign(g Gen, k Key, fill func(p *ir.Value, size int))
	// AssignWord sets the value of a key to a word of size bytes.
	AssignWord(g Gen, k Key, x *ir.Value, size int)
	// Remove deletes a key. It returns 0, or a negative error if there was none.
	Remove(g Gen, k Key) *ir.Value
	// OnCPU returns one CPU's value of a key, or null if there is none.
	OnCPU(g Gen, k Key, cpu *ir.Value) *ir.Value
	// Address returns the address of the value of a map without keys, or the kernel
	// map.
	Address(g Gen) *ir.Value
	// Parts returns the kernel maps that hold the entries.
	Parts() []Part
	// Traits returns the properties that distinguish the store from most others.
	Traits() Traits
}

// Traits are properties that only some stores have. For most stores it is the zero value.
type Traits struct {
	// MakePart returns part n of the value of a key, or null if the map is full. It is
	// set if values are in parts, and a program can access one part at a time.
	MakePart func(g Gen, k Key, n *ir.Value) *ir.Value
	// Programs are what user space runs to work on the map where system calls cannot do
	// so. The object has those that the uses of the map need.
	Programs []Program
	// Together is set if an entry holds the values of all CPUs. OnCPU then works on
	// kernels on which a program cannot look up another CPU's value.
	Together bool
	// Words is set if an encoded key consists only of the bytes at Key.Ptr, so that
	// another function can rebuild it.
	Words bool
}

// Program is a program that a map's Reader runs.
type Program struct {
	Name string         // see Kernel.program
	For  Use            // the uses of the map that need it; Whole: reading it
	Load object.Program // how the kernel loads it; without a license, it has the script's
	Emit func(g Gen, ctx *ir.Value)
}

// programName returns the name of a program of a map.
func programName(name string, m *object.Map) string {
	return name + "_" + strings.TrimPrefix(m.Name, "@")
}

// Programs returns the programs of s that a map with these uses needs, with their names in
// the object. A map that is not a result is read only for stacks and addresses in it.
func Programs(s Store, m *object.Map, uses Use) (list []Program) {
	if !m.Inner() || m.Value.Kind != types.Int {
		uses |= Whole
	}
	for _, p := range s.Traits().Programs {
		if uses&p.For != 0 {
			p.Name = programName(p.Name, m)
			list = append(list, p)
		}
	}
	return list
}

// Part is a kernel map that holds entries of a script's map.
type Part struct {
	Map    *ir.Map
	Key    *types.Type // of the keys in this part
	off    int64       // offset of Key in the kernel's key
	number int         // the map's number in Map; 0: all entries of Map belong to it
	wrap   func(b *ir.Builder, p *ir.Value) Key
}

// Mine reports whether the entry with the kernel's key at p belongs to the map. It
// returns nil if all entries do.
func (p *Part) Mine(b *ir.Builder, key *ir.Value) *ir.Value {
	if p.number == 0 {
		return nil
	}
	return b.Op(ir.OpEq, b.Load(key, 0, 8, false), b.Const(int64(p.number)))
}

// KeyAt returns the address of the script's key in the kernel's key at p.
func (p *Part) KeyAt(b *ir.Builder, key *ir.Value) *ir.Value { return b.AddImm(key, p.off) }

// Wrap returns a Key for the kernel's key at k, which must be in the program's own
// memory.
func (p *Part) Wrap(b *ir.Builder, k *ir.Value) Key { return p.wrap(b, k) }

// Size returns the size of the kernel's keys in bytes.
func (p *Part) Size() int { return p.Map.KeySize }

// kind is a kind of store: a row of the table kinds.
type kind struct {
	name string // in object.Map.Store
	own  int    // number of hash maps that it needs
	// fits reports whether a map can and should be kept this way.
	fits func(l *layout, s *Spec) bool
	// plan lays the map out, describes it in m, and returns its Store.
	plan func(l *layout, s *Spec, m *object.Map) Store
	// extras are the fields of object.Map that maps kept this way use in addition to
	// those that all maps use.
	extras []string
	// check returns an error if plan could not have made the description. It claims the
	// map's parts of the kernel maps.
	check func(c *claims, m *object.Map) error
	// open returns the map's Reader.
	open func(k *Kernel, m *object.Map) (Reader, error)
}

// kinds returns the kinds of stores. Plan uses the first one that fits.
func kinds() []kind {
	return []kind{socketsKind, partedKind, spreadKind, perCPUSlotKind, slotKind, splitKind, threadsKind, frontKind, hashKind}
}

func kindOf(name string) *kind {
	for _, k := range kinds() {
		if k.name == name {
			return &k
		}
	}
	return nil
}
