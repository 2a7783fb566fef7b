package runtime

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/gotrace/gotrace/runtime/object"
)

// parts are the kernel maps that together hold the entries of a map with keys.
func (s *Session) parts(m *object.Map) ([]*ebpf.Map, error) {
	names := []string{m.Kernel}
	if m.Short != "" {
		names = append(names, m.Short)
	}
	ks := make([]*ebpf.Map, len(names))
	for i, name := range names {
		if ks[i] = s.maps[name]; ks[i] == nil {
			return nil, fmt.Errorf("bug: no map %s", name)
		}
	}
	return ks, nil
}

// stride is the size in which user space sees the values of a kernel map of m.
func (s *Session) stride(m *object.Map, k *ebpf.Map) int {
	if m.Store == object.PerCPUHashMap {
		return roundUp8(int(k.ValueSize())) * s.ncpu
	}
	return int(k.ValueSize())
}

// readHash reads a map with keys. A short key has fewer bytes than the map's
// key type: what is missing is zero.
func (s *Session) readHash(m *object.Map) ([]pair, error) {
	ks, err := s.parts(m)
	if err != nil {
		return nil, err
	}
	size := m.Value.Size
	if m.Part > 0 {
		size = m.Part
	}
	var pairs []pair
	var parts [][][]byte // of each pair's value
	for _, k := range ks {
		err := eachElem(k, int(k.KeySize()), s.stride(m, k), func(key, val []byte) {
			if m.Key == nil && m.Part == 0 {
				key = nil
			}
			pairs = append(pairs, pair{key: key})
			parts = append(parts, s.perCPU(m, k, val, size))
		})
		if err != nil {
			return nil, err
		}
	}
	if m.Front != nil {
		if pairs, parts, err = s.addFront(m, pairs, parts); err != nil {
			return nil, err
		}
	}
	for i, p := range parts {
		if len(p) == 1 && m.Store != object.PerCPUHashMap {
			pairs[i].val = p[0]
		} else {
			pairs[i].val = s.merge(m.Value, p)
		}
	}
	if m.Part > 0 {
		return joinParts(m, pairs), nil
	}
	if m.Threads != nil {
		return s.addThreads(m, pairs)
	}
	return pairs, nil
}

// joinParts puts the parts of each value together, in no order: aggregations that
// are kept so know the place of what is in them. Parts never used are missing.
func joinParts(m *object.Map, parts []pair) []pair {
	var pairs []pair
	at := map[string]int{}
	for _, p := range parts {
		key := p.key[:len(p.key)-8]
		i, ok := at[string(key)]
		if !ok {
			i = len(pairs)
			at[string(key)] = i
			pairs = append(pairs, pair{})
			if m.Key != nil {
				pairs[i].key = key
			}
		}
		pairs[i].val = append(pairs[i].val, p.val...)
	}
	return pairs
}

// perCPU is the values of size bytes that val consists of: one for each CPU, or
// the only one.
func (s *Session) perCPU(m *object.Map, k *ebpf.Map, val []byte, size int) [][]byte {
	if m.Store != object.PerCPUHashMap {
		return [][]byte{val[:size]}
	}
	cpus := make([][]byte, s.ncpu)
	for i := range cpus {
		cpus[i] = val[i*roundUp8(int(k.ValueSize())):][:size]
	}
	return cpus
}

// eachKey calls f for all keys that a map has now.
func (s *Session) eachKey(m *object.Map, f func(k *ebpf.Map, key []byte) error) error {
	ks, err := s.parts(m)
	if err != nil {
		return err
	}
	for _, k := range ks {
		var keys [][]byte
		err := eachElem(k, int(k.KeySize()), s.stride(m, k), func(key, _ []byte) { keys = append(keys, key) })
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := f(k, key); err != nil && err != unix.ENOENT {
				return err
			}
		}
	}
	return nil
}

func (s *Session) clearHash(m *object.Map) error {
	if err := errors.Join(s.clearFront(m), s.clearThreads(m)); err != nil {
		return err
	}
	return s.eachKey(m, func(k *ebpf.Map, key []byte) error { return deleteElem(k, key) })
}

func (s *Session) zeroHash(m *object.Map) error {
	if err := errors.Join(s.clearFront(m), s.zeroThreads(m)); err != nil {
		return err
	}
	var zeros []byte
	return s.eachKey(m, func(k *ebpf.Map, key []byte) error {
		if zeros == nil {
			zeros = make([]byte, s.stride(m, k))
		}
		return updateElem(k, key, zeros, uint64(ebpf.UpdateExist))
	})
}
