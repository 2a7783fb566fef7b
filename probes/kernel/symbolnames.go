package kernel

import (
	"maps"
	"sync"
	"time"
)

// found is the symbol that contains an address.
type found struct {
	name, module string
	offset       uint64 // of the address in the symbol
}

// symbolNames looks up symbols while modules and BPF programs are loaded and unloaded. It
// reads kallsyms again if an address may be in a module or program that was loaded since,
// and keeps the older symbols for addresses in unloaded ones.
type symbolNames struct {
	mu      sync.Mutex
	table   *symbolTable
	gone    *symbolTable    // symbols that table no longer has
	modules string          // ModuleSet when table was read
	checked time.Time       // when modules was last compared
	known   map[uint64]bool // addresses for which table need not be read again
}

const (
	// modulesAge is the time after which the list of modules is read again.
	modulesAge = 100 * time.Millisecond
	// restFactor limits the time for reading kallsyms: kallsyms is not read again for
	// an address until that many times the duration of the last reading have passed.
	restFactor = 20
	maxKnown   = 1 << 16
)

// at returns the symbol that contains addr.
func (n *symbolNames) at(k *Kernel, addr uint64) (f found) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.table == nil {
		t, err := k.syms.Get()
		if err != nil {
			return found{}
		}
		n.table, n.gone, n.known = t, newSymbolTable(nil), map[uint64]bool{}
		n.modules, n.checked = k.ModuleSet(), time.Now()
	}
	f, sure := n.table.at(addr)
	if sure {
		return f
	}
	if k.src.live() && n.outdated(k, addr) {
		n.reload(k)
		f, _ = n.table.at(addr)
	}
	// The nearest symbol before the address contains it.
	if old, _ := n.gone.at(addr); old.name != "" && (f.name == "" || old.offset < f.offset) {
		return old
	}
	return f
}

// outdated reports whether kallsyms must be read again for an address outside of
// vmlinux: modules were loaded or unloaded, or the address is new and the last reading
// is long enough ago.
func (n *symbolNames) outdated(k *Kernel, addr uint64) bool {
	if time.Since(n.checked) > modulesAge {
		n.checked = time.Now()
		if set := k.ModuleSet(); set != n.modules {
			n.modules = set
			return true
		}
	}
	if n.known[addr] || time.Since(n.table.read) <= restFactor*n.table.cost {
		return false
	}
	if len(n.known) >= maxKnown {
		clear(n.known)
	}
	n.known[addr] = true
	return true
}

// reload reads kallsyms again. It keeps the symbols that kallsyms no longer contains.
func (n *symbolNames) reload(k *Kernel) {
	t, err := loadSymbols(k.src)
	if err != nil {
		return
	}
	lines := map[string]bool{}
	for line := range t.outside() {
		lines[string(line)] = true
	}
	var gone []byte // the newest first, as the first of several at one address is found
	for _, old := range []*symbolTable{n.table, n.gone} {
		for line := range old.outside() {
			if !lines[string(line)] {
				gone = append(append(gone, line...), '\n')
			}
		}
	}
	past := newSymbolTable(gone)
	maps.Copy(past.modules, n.gone.modules)
	maps.Copy(past.modules, n.table.modules)
	n.table, n.gone = t, past
}
