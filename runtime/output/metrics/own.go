package metrics

import "github.com/gotrace/gotrace/runtime/output"

// ownMetrics are the metrics about maps.
type ownMetrics [3]Family

// ownFamilies returns the metrics about maps without series.
func ownFamilies() ownMetrics {
	return ownMetrics{
		{Name: prefix + "map_entries", Help: "Entries of a map."},
		{Name: prefix + "map_max_entries", Help: "The greatest number of entries that a map can have."},
		{Name: prefix + "map_dropped_series", Help: "Entries of a map that are not exported, because there are too many."},
	}
}

// add adds the numbers for a map. dropped is the number of its entries that are left out.
func (o *ownMetrics) add(script string, m *output.Map, dropped int) {
	var list []Label
	if script != "" {
		list = append(list, Label{scriptLabel, ValidText(script)})
	}
	list = append(list, Label{"map", m.Name})
	for i, n := range [...]int{len(m.Entries), m.Max, dropped} {
		if n > 0 || i != 1 {
			o[i].Series = append(o[i].Series, Series{Labels: list, Value: Int(int64(n))})
		}
	}
}
