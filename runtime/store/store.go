// Package store knows how the maps of a script are kept in the kernel. There is
// one file for each way of keeping a map, and it holds all that concerns that
// way: which maps it suits, its layout, the code by which a program uses it, and
// how user space reads, clears and zeroes it.
//
//	slot.go     bytes of a shared array map: maps without keys
//	percpu.go   bytes of a shared per-CPU array map: aggregations without keys
//	hash.go     a hash map, or a per-CPU hash map for aggregations
//	split.go    two hash maps, one for short strings and one for long ones
//	parted.go   a hash map of the parts of large aggregations
//	front.go    a hash map and a per-CPU front table, which takes most additions
//	threads.go  a hash map and a table of entries keyed by the running thread
//
// A map goes through the package in three steps. Plan picks the way and lays out
// all maps of a script. A Store emits code into the programs. Open gives the
// process that loaded the programs a Reader. Plan describes its decisions in the
// object.Map, which is all that Open needs.
package store

import (
	"github.com/gotrace/gotrace/codegen/ir"
	"github.com/gotrace/gotrace/lang/source"
	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
)

// Use is a set of things that programs do with a map.
type Use uint16

const (
	Add     Use = 1 << iota // add to a value without looking at it
	Read                    // read a value, or ask whether there is one
	Assign                  // assign a value
	Change                  // compute a value from the old one, other than by Add
	Delete                  // delete an entry
	Count                   // ask how many entries there are
	Iterate                 // go through all entries
	Address                 // take the address of the map
	Whole                   // print, clear or zero the whole map, which user space does
	Reset                   // clear or zero it
	Foreign                 // use a key that is not the running thread's ID
)

var useNames = []string{"add", "read", "assign", "change", "delete", "count", "iterate", "address", "whole", "reset", "foreign"}

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

// Spec is what is known of a map before it is decided how to keep it.
type Spec struct {
	Name       string      // with its @
	Span       source.Span // for errors
	Key        *types.Type // as it is stored; nil: no key
	Value      *types.Type
	Max        int  // most entries
	Declared   bool // the script says how it is to be kept: by PerCPU and LRU
	PerCPU     bool
	LRU        bool
	Uses       Use
	Programs   []int // the programs that use it
	ValueParts int   // bytes of a part, where a value may be kept in parts; else 0

	shared bool // it has to share its hash map with others
}

func (s *Spec) isAgg() bool { return s.Value.Kind == types.Agg }

// valueSize is how many bytes a value takes.
func (s *Spec) valueSize() int { return max(s.Value.Size, 1) }

// MaxPerCPU is the kernel's limit for the value of a per-CPU map, in bytes.
const MaxPerCPU = 32 << 10

// KeySize is how many bytes a key takes. The kernel hashes whole words in half
// the time, so longer keys are padded with zeros to whole words.
func KeySize(t *types.Type) int {
	if t.Size <= 4 {
		return max(t.Size, 1)
	}
	return word(t.Size)
}

// word rounds n up to whole words.
func word(n int) int { return (n + 7) &^ 7 }

// A Key is an encoded key in a program's memory. It belongs to the store that
// encoded it.
type Key struct {
	// Ptr is the address of the key, padded to KeySize; nil: the map has no keys.
	Ptr *ir.Value
	// whole is what the kernel takes for the key, where the map's number precedes
	// it. nil: Ptr.
	whole *ir.Value
	// A split map has two addresses, one for each of its hash maps, and a word that
	// is not 0 where the long one counts. Where it is known which of the two counts,
	// the other one is nil.
	isLong, short, long *ir.Value
}

// KeyExpr is the key expression of a map access.
type KeyExpr interface {
	// Literal is the text of a string that is known when compiling.
	Literal() (text string, ok bool)
	// StringSize is the most bytes that a single string takes, its NUL included; 0:
	// the key is something else.
	StringSize() int
	// InMemory is where a string already is in the program's memory; nil: nowhere.
	InMemory() *ir.Value
	// Source is the address that a string is to be copied from.
	Source(g Gen) (src *ir.Value, space types.Space, ok bool)
	// Write evaluates the key as a value of type t into size bytes at p, and zeroes
	// those that it does not need.
	Write(t *types.Type, p *ir.Value, size int)
}

// Gen is what the code of a store is built with.
type Gen interface {
	// B is the builder at the current place.
	B() *ir.Builder
	// Temp is memory of size bytes for the rest of the program.
	Temp(size int) *ir.Value
	// Rodata is the address of constant bytes; Zeros of n zero bytes.
	Rodata(data []byte) *ir.Value
	Zeros(n int) *ir.Value
	// Surely is p, which is never null though the kernel's verifier cannot know it.
	Surely(p *ir.Value) *ir.Value
	// EachCPU runs body for each possible CPU.
	EachCPU(body func(cpu *ir.Value))
	// Count adds one to the counter of what goes wrong at s.
	Count(kind object.SiteKind, s source.Span, what string)
	// ReadStr copies a string of at most size bytes, NUL included, from src to dst;
	// the result is its length with the NUL, or negative on a fault.
	ReadStr(dst *ir.Value, off int64, size *ir.Value, max int, src *ir.Value, space types.Space) *ir.Value
}

// A Store emits the code by which programs use a map. The pointers that it
// returns are to a value, in the kernel map itself. Plan picks a store that can
// do all that the programs do with the map; what it need not be able to do
// panics.
type Store interface {
	// Key encodes a key; e is nil for a map without keys.
	Key(g Gen, e KeyExpr) Key
	// Find is the value of a key, null (type PtrMapNil) where there is none. A
	// store that always has its value returns it, zero while it is not set.
	Find(g Gen, k Key) *ir.Value
	// Present is Find, but null also for a value that is not set.
	Present(g Gen, k Key) *ir.Value
	// Make is the value of a key, a new one of zeros where there was none; null
	// where the map has no room (which is counted).
	Make(g Gen, k Key) *ir.Value
	// Share is Make for adding to the value: it may return one of several values
	// that user space merges.
	Share(g Gen, k Key) *ir.Value
	// Assign sets the value of a key to what fill writes into size bytes at p.
	Assign(g Gen, k Key, fill func(p *ir.Value, size int))
	// AssignWord sets the value of a key to a word of size bytes.
	AssignWord(g Gen, k Key, x *ir.Value, size int)
	// Remove deletes a key: 0, or a negative error where there was none.
	Remove(g Gen, k Key) *ir.Value
	// OnCPU is the value of a key as one CPU has it, null where there is none.
	OnCPU(g Gen, k Key, cpu *ir.Value) *ir.Value
	// Address is the address of the value of a map without keys, or the kernel map.
	Address(g Gen) *ir.Value
	// Parts are the kernel maps that hold the entries.
	Parts() []Part
}

// A Parted store holds values in parts. A program can reach one part at a time.
type Parted interface {
	// MakePart returns part n of the value of a key, or null if the map has no room.
	MakePart(g Gen, k Key, n *ir.Value) *ir.Value
}

// A Resetter is a store whose values user space cannot zero by itself. Where Reset
// is among the uses of the map, the script's object has a program that does it,
// which the reader runs on each CPU.
type Resetter interface {
	// Reset sets the value to zero as this CPU has it. If unset is not 0, the map
	// counts as never assigned then.
	Reset(g Gen, unset *ir.Value)
}

// Part is a kernel map that holds entries of a script's map.
type Part struct {
	Map    *ir.Map
	Key    *types.Type // of the keys in this part
	off    int64       // of the key in what the kernel takes for the key
	number int         // the map's number in Map; 0: all entries of Map belong to it
	wrap   func(b *ir.Builder, p *ir.Value) Key
}

// Mine reports whether the entry with the kernel's key at p is one of the map;
// nil: all are.
func (p *Part) Mine(b *ir.Builder, key *ir.Value) *ir.Value {
	if p.number == 0 {
		return nil
	}
	return b.Op(ir.OpEq, b.Load(key, 0, 8, false), b.Const(int64(p.number)))
}

// KeyAt is the address of the script's key in the kernel's key at p.
func (p *Part) KeyAt(b *ir.Builder, key *ir.Value) *ir.Value { return b.AddImm(key, p.off) }

// Wrap is the encoded key whose bytes, as the kernel has them, are at p in the
// program's own memory.
func (p *Part) Wrap(b *ir.Builder, k *ir.Value) Key { return p.wrap(b, k) }

// Size is the size of the kernel's keys.
func (p *Part) Size() int { return p.Map.KeySize }

// kind is a way of keeping maps: a row of the table.
type kind struct {
	name string // in object.Map.Store
	own  int    // how many hash maps it takes
	// fits reports whether a map can be kept this way and should.
	fits func(l *layout, s *Spec) bool
	// plan lays the map out, describes it in m, and returns what emits its code.
	plan func(l *layout, s *Spec, m *object.Map) Store
	// extras are the fields of object.Map that maps kept this way use beside those that
	// all have.
	extras []string
	// check reports a description that plan could not have made. It claims what the
	// map has of the kernel maps.
	check func(c *claims, m *object.Map) error
	// open is the user space half of a map.
	open func(k *Kernel, m *object.Map) (Reader, error)
}

// kinds are the ways of keeping a map. The first one that fits is taken.
func kinds() []kind {
	return []kind{partedKind, spreadKind, perCPUSlotKind, slotKind, splitKind, threadsKind, frontKind, hashKind}
}

func kindOf(name string) *kind {
	for _, k := range kinds() {
		if k.name == name {
			return &k
		}
	}
	return nil
}
