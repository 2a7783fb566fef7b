package store

import (
	"slices"
	"sort"

	"github.com/cilium/ebpf"

	"github.com/gotrace/gotrace/lang/types"
	"github.com/gotrace/gotrace/runtime/object"
	"github.com/gotrace/gotrace/runtime/outline"
)

// Check returns an error unless the descriptions of the script's maps in an object are
// consistent with its kernel maps, as if Plan had made them. If so, a reader of a map
// cannot see the values of another one. The error wraps object.ErrFormat.
func Check(o *object.Object) error {
	c := &claims{kernel: map[string]*object.KernelMap{}, bytes: map[string][]extent{}, entries: map[string][]int{}}
	for i := range o.Kernel {
		c.kernel[o.Kernel[i].Name] = &o.Kernel[i]
	}
	for i := range o.Maps {
		m := &o.Maps[i]
		kind := kindOf(m.Store)
		err := outline.Errorf("it is kept in an unknown way, %q", m.Store)
		switch {
		case m.Value == nil || m.Value.Size < 0 || m.Key != nil && m.Key.Size < 0:
			err = outline.Errorf("it has no type")
		case kind != nil:
			if err = foreign(m, kind.extras...); err == nil {
				err = kind.check(c, m)
			}
		}
		if err != nil {
			return outline.Errorf("%w: map %s: %w", object.ErrFormat, m.Name, err)
		}
	}
	for name, list := range c.bytes {
		if err := filled(list, c.kernel[name].ValueSize); err != nil {
			return outline.Errorf("%w: map %s: %w", object.ErrFormat, name, err)
		}
	}
	for name, list := range c.entries {
		slices.Sort(list)
		if last := list[len(list)-1]; last != 0 && last != len(list) {
			return outline.Errorf("%w: map %s: %d maps share it, and one is number %d", object.ErrFormat, name, len(list), last)
		}
	}
	return nil
}

// claims records which parts of the kernel maps belong to the script's maps.
type claims struct {
	kernel  map[string]*object.KernelMap
	bytes   map[string][]extent // parts of the element of an array, by kernel map
	entries map[string][]int    // numbers of the maps in a hash map, by kernel map; 0: the map is not shared
}

// extent is a range of bytes.
type extent struct{ off, size int }

// filled returns an error unless the extents cover size bytes, each of them once.
func filled(list []extent, size int) error {
	sort.Slice(list, func(i, j int) bool { return list[i].off < list[j].off })
	end := 0
	for _, e := range list {
		if e.off != end || e.size > size-end {
			return outline.Errorf("the parts that are in use do not make up its %d bytes", size)
		}
		end += e.size
	}
	if end != size {
		return outline.Errorf("%d of its %d bytes are in use", end, size)
	}
	return nil
}

// find returns the kernel map with the given name, which must be of type t.
func (c *claims) find(name string, t ebpf.MapType) (*object.KernelMap, error) {
	m := c.kernel[name]
	if m == nil {
		return nil, outline.Errorf("the kernel map %q is missing", name)
	}
	if m.Type != t {
		return nil, outline.Errorf("%s is a map of type %s, not %s", name, m.Type, t)
	}
	if m.Inner != 0 {
		return nil, outline.Errorf("%s has maps in it", name)
	}
	return m, nil
}

// array claims size bytes at off in the element of an array of type t.
func (c *claims) array(name string, t ebpf.MapType, off, size int) error {
	m, err := c.find(name, t)
	if err != nil {
		return err
	}
	if m.KeySize != 4 || m.MaxEntries != 1 || t == ebpf.Array && m.Flags&mmapable == 0 {
		return outline.Errorf("%s is not an array of one element", name)
	}
	if off < 0 || off%8 != 0 || off > m.ValueSize || size > m.ValueSize-off {
		return outline.Errorf("%s has no %d bytes at %d", name, size, off)
	}
	c.bytes[name] = append(c.bytes[name], extent{off, size})
	return nil
}

// slot claims the bytes of a map without keys in an array of type t.
func (c *claims) slot(m *object.Map, t ebpf.MapType) error {
	size := max(m.Value.Size, 1)
	if err := only(m, m.PerCPU == (t == ebpf.PerCPUArray), "PerCPU"); err != nil {
		return err
	}
	if m.Key != nil || m.Set != m.Off+word(size) {
		return outline.Errorf("a value of %d bytes at %d does not have its mark at %d", m.Value.Size, m.Off, m.Set)
	}
	return c.array(m.Kernel, t, m.Off, word(size)+8)
}

// hash claims the entries of a map in its own hash map, or in a hash map that several
// maps share. m.Key is encoded as key there.
func (c *claims) hash(m *object.Map, name string, key *types.Type) error {
	if key == nil {
		return outline.Errorf("it has no key")
	}
	km, err := c.hashMap(m, name)
	if err != nil {
		return err
	}
	size, value := KeySize(key), max(m.Value.Size, 1)
	keys := []int{size}
	if m.Number != 0 {
		keys = []int{numberSize + class(size), min(numberSize+class(size), maxOldKey)}
		value = class(value)
	}
	if !slices.Contains(keys, km.KeySize) || value != km.ValueSize {
		return outline.Errorf("%s has keys of %d bytes and values of %d, not %d and %d", name, km.KeySize, km.ValueSize, keys[0], value)
	}
	return c.own(name, m.Number)
}

// own claims the entries with a number in a hash map, or all entries if the number is
// 0.
func (c *claims) own(name string, number int) error {
	list := c.entries[name]
	if number < 0 || slices.Contains(list, number) || slices.Contains(list, 0) || number == 0 && len(list) > 0 {
		return outline.Errorf("%s number %d belongs to another map", name, number)
	}
	c.entries[name] = append(list, number)
	return nil
}

// hashMap returns the hash map with that name, which must be of the type that m
// requires.
func (c *claims) hashMap(m *object.Map, name string) (*object.KernelMap, error) {
	t := ebpf.Hash
	switch {
	case m.PerCPU && m.LRU:
		t = ebpf.LRUCPUHash
	case m.PerCPU:
		t = ebpf.PerCPUHash
	case m.LRU:
		t = ebpf.LRUHash
	}
	return c.find(name, t)
}

// table claims the bytes of a table whose slots take size bytes.
func (c *claims) table(m *object.Map, size int) error {
	return c.array(object.TableMap, ebpf.Array, m.Table.Off, tableSize(size))
}

// only returns an error unless ok. It is called for fields that this kind of store does
// not set, or sets to one value.
func only(m *object.Map, ok bool, field string) error {
	if ok {
		return nil
	}
	return outline.Errorf("kept as %s, it has the wrong %s", m.Store, field)
}

// foreign returns an error if a description sets a field that only other kinds of stores
// use.
func foreign(m *object.Map, uses ...string) error {
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"Off", m.Off != 0 || m.Set != 0}, {"LRU", m.LRU}, {"Number", m.Number != 0},
		{"Short", m.Short != ""}, {"Part", m.Part != 0}, {"Table", m.Table != nil},
	} {
		if err := only(m, !f.set || slices.Contains(uses, f.name), f.name); err != nil {
			return err
		}
	}
	return nil
}
