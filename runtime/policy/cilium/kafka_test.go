package cilium_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"

	front "github.com/gotrace/gotrace/lang/policy/cilium"
)

// kafkaRequest is a request of Kafka.
type kafkaRequest struct {
	api, version int
	client       string
	topics       []string
	// hidden is set if the request does not contain the names of its topics.
	hidden bool
}

// meets reports whether a request matches a rule. Requests about several topics match no
// rule that names one.
func (k *kafkaRequest) meets(r front.KafkaRule) bool {
	if r.APIs != nil && !slices.Contains(r.APIs, k.api) || r.Version >= 0 && r.Version != k.version || r.Client != "" && r.Client != k.client {
		return false
	}
	switch {
	case r.Topic == "":
		return true
	case k.hidden || len(k.topics) > 1:
		return false
	}
	return len(k.topics) == 0 || k.topics[0] == r.Topic
}

// kafkaWriter writes the parts of a request.
type kafkaWriter struct {
	b        []byte
	flexible bool // sizes have a variable length
}

func (w *kafkaWriter) uvarint(n int) { w.b = binary.AppendUvarint(w.b, uint64(n)) }

func (w *kafkaWriter) text(s string) {
	if w.flexible {
		w.uvarint(len(s) + 1)
	} else {
		w.b = binary.BigEndian.AppendUint16(w.b, uint16(len(s)))
	}
	w.b = append(w.b, s...)
}

// null writes a text that is absent.
func (w *kafkaWriter) null() {
	if w.flexible {
		w.uvarint(0)
	} else {
		w.b = append(w.b, 0xff, 0xff)
	}
}

func (w *kafkaWriter) zeros(n int) { w.b = append(w.b, make([]byte, n)...) }

func (w *kafkaWriter) count(n int) {
	switch {
	case w.flexible:
		w.uvarint(n + 1)
	default:
		w.b = binary.BigEndian.AppendUint32(w.b, uint32(n))
	}
}

// message returns the encoded request, without the part after the topics.
func (k *kafkaRequest) message(r *rand.Rand) []byte {
	be := binary.BigEndian
	w := &kafkaWriter{}
	flexibleFrom := map[int]int{0: 9, 1: 12, 2: 6, 3: 9, 8: 8, 9: 6}[k.api]
	flexible := flexibleFrom > 0 && k.version >= flexibleFrom
	w.b = be.AppendUint16(be.AppendUint16(nil, uint16(k.api)), uint16(k.version))
	w.b = be.AppendUint32(w.b, r.Uint32())
	if k.client == "" && r.IntN(2) == 0 {
		w.null()
	} else {
		w.text(k.client)
	}
	if w.flexible = flexible; flexible {
		w.zeros(1)
	}
	member := func() { w.text([]string{"", "a", "group-of-consumers"}[r.IntN(3)]) }
	switch k.api {
	case 0:
		if k.version >= 3 {
			w.null()
		}
		w.zeros(6)
	case 1:
		switch {
		case k.version < 3:
			w.zeros(12)
		case k.version < 4:
			w.zeros(16)
		case k.version < 7:
			w.zeros(17)
		default:
			w.zeros(25)
		}
	case 2:
		if w.zeros(4); k.version >= 2 {
			w.zeros(1)
		}
	case 8:
		member()
		if k.version >= 1 {
			w.zeros(4)
			member()
		}
		if k.version >= 7 {
			w.null()
		}
		if k.version >= 2 && k.version <= 4 {
			w.zeros(8)
		}
	case 9:
		member()
	}
	if k.hidden {
		w.zeros(40)
	} else {
		w.count(len(k.topics))
		for _, topic := range k.topics {
			if k.api == 3 && k.version >= 10 {
				w.zeros(16)
			}
			w.text(topic)
			w.zeros(8)
		}
		w.zeros(4)
	}
	return append(be.AppendUint32(nil, uint32(len(w.b))), w.b...)
}

// kafkaVersions are the versions of the generated requests, and the first version without
// names of topics.
var kafkaVersions = map[int]struct{ versions, hidden int }{0: {14, 13}, 1: {16, 13}, 2: {10, 99}, 3: {13, 99}, 8: {11, 10}, 9: {10, 8}, 18: {4, 99}, 12: {4, 99}, 19: {5, 0}}

// randomKafka returns a request.
func randomKafka(r *rand.Rand) *kafkaRequest {
	k := &kafkaRequest{api: pick(r, []int{0, 0, 1, 1, 2, 3, 8, 9, 18, 12, 19}), client: pick(r, []string{"", "shop", "billing"})}
	v := kafkaVersions[k.api]
	k.version = r.IntN(v.versions)
	switch {
	case k.version >= v.hidden:
		k.hidden = true
	case k.api <= 9:
		long := string(slices.Repeat([]byte("t"), 200))
		for range pick(r, []int{0, 1, 1, 1, 1, 2}) {
			k.topics = append(k.topics, pick(r, []string{"orders", "deaths", long}))
		}
	}
	return k
}
