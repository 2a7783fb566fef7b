package cilium

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gotrace/gotrace/lang/policy/yaml"
	"github.com/gotrace/gotrace/lang/source"
)

// KafkaRule describes the Kafka requests that match. An empty member matches everything.
type KafkaRule struct {
	APIs          []int // numbers of the kinds of requests; nil: all
	Version       int   // of the request; -1: all
	Client, Topic string
	At            source.Span
}

// kafkaAPIs are the names of Kafka's requests, by number.
var kafkaAPIs = []string{
	"produce", "fetch", "offsets", "metadata", "leaderandisr", "stopreplica", "updatemetadata", "controlledshutdown", "offsetcommit", "offsetfetch",
	"findcoordinator", "joingroup", "heartbeat", "leavegroup", "syncgroup", "describegroups", "listgroups", "saslhandshake", "apiversions", "createtopics",
	"deletetopics", "deleterecords", "initproducerid", "offsetforleaderepoch", "addpartitionstotxn", "addoffsetstotxn", "endtxn", "writetxnmarkers", "txnoffsetcommit", "describeacls",
	"createacls", "deleteacls", "describeconfigs", "alterconfigs",
}

// KafkaAPI returns the name of a kind of request.
func KafkaAPI(n int) string {
	if n < len(kafkaAPIs) {
		return kafkaAPIs[n]
	}
	return fmt.Sprintf("request %d", n)
}

// Numbers of Kafka's requests whose topics are read.
const (
	kafkaProduce      = 0
	kafkaFetch        = 1
	kafkaOffsets      = 2
	kafkaMetadata     = 3
	kafkaOffsetCommit = 8
	kafkaOffsetFetch  = 9
)

// kafkaRoles are the requests of producers and of consumers.
var kafkaRoles = []struct {
	name string
	apis []int
}{
	{"produce", []int{kafkaProduce, kafkaMetadata, 18}},
	{"consume", []int{kafkaFetch, kafkaOffsets, kafkaMetadata, kafkaOffsetCommit, kafkaOffsetFetch, 10, 11, 12, 13, 14, 18}},
}

// KafkaTopicsUnread are other requests about topics. A rule that names a topic matches
// none of them.
var KafkaTopicsUnread = []int{4, 5, 6, 19, 20, 21, 23, 24, 27, 28, 32, 33}

// kafka reads a rule for requests of Kafka.
func (r *reader) kafka(n *yaml.Node) KafkaRule {
	k := KafkaRule{Version: -1, At: n.At}
	both := 0
	r.object(n, "the rule for Kafka",
		field{"role", func(n *yaml.Node) {
			both++
			var names []string
			for _, role := range kafkaRoles {
				names = append(names, role.name)
			}
			if i := r.oneFold(n, "the role", names); i >= 0 {
				k.APIs = kafkaRoles[i].apis
			}
		}},
		field{"apiKey", func(n *yaml.Node) {
			both++
			if i := r.oneFold(n, "the kind of a request", kafkaAPIs); i >= 0 {
				k.APIs = []int{i}
			}
		}},
		field{"apiVersion", func(n *yaml.Node) {
			text := r.text(n, "apiVersion")
			v, err := strconv.ParseUint(text, 10, 15)
			if err != nil && text != "" {
				r.diags.Errorf(n.At, "apiVersion is a number from 0 to 32767, not '%s'", text)
			}
			if text != "" {
				k.Version = int(v)
			}
		}},
		field{"clientID", func(n *yaml.Node) { k.Client = r.text(n, "clientID") }},
		field{"topic", func(n *yaml.Node) {
			k.Topic = r.text(n, "topic")
			bad := strings.Trim(k.Topic, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
			if bad != "" || len(k.Topic) > 255 {
				r.diags.Errorf(n.At, "'%s' is not a topic: it has up to 255 letters, digits, dots, underscores and hyphens", k.Topic)
			}
		}})
	if both > 1 {
		r.diags.Errorf(n.At, "a rule for Kafka has a role or an apiKey, not both")
	}
	return k
}

// oneFold returns the index of the node's text in names, ignoring case, or -1 after an
// error.
func (r *reader) oneFold(n *yaml.Node, what string, names []string) int {
	lower := *n
	lower.Value = strings.ToLower(n.Value)
	return r.one(&lower, what, names)
}

// Sizes in bytes of the part of a Kafka request that is read, and of its header up to the
// name of the client.
const (
	kafkaSize   = 511
	kafkaHeader = 14
)

// kafkaForm describes where the topics of a request start, for a version and later ones.
// After the client's name there are strings and bytes in the order of the members.
type kafkaForm struct {
	api, from  int
	first      bool // a string
	skip       int  // bytes
	more       int  // strings
	skip2      int  // bytes
	flexible   bool // sizes have a variable length
	id         bool // each topic has an identifier before its name
	unreadable bool // topics have identifiers only
}

// kafkaForms are sorted by version. For a request, the last form applies whose version is
// not above the version of the request.
var kafkaForms = []kafkaForm{
	{api: kafkaProduce, from: 0, skip: 6},
	{api: kafkaProduce, from: 3, first: true, skip: 6},
	{api: kafkaProduce, from: 9, first: true, skip: 6, flexible: true},
	{api: kafkaProduce, from: 13, unreadable: true},
	{api: kafkaFetch, from: 0, skip: 12},
	{api: kafkaFetch, from: 3, skip: 16},
	{api: kafkaFetch, from: 4, skip: 17},
	{api: kafkaFetch, from: 7, skip: 25},
	{api: kafkaFetch, from: 12, skip: 25, flexible: true},
	{api: kafkaFetch, from: 13, unreadable: true},
	{api: kafkaOffsets, from: 0, skip: 4},
	{api: kafkaOffsets, from: 2, skip: 5},
	{api: kafkaOffsets, from: 6, skip: 5, flexible: true},
	{api: kafkaMetadata, from: 0},
	{api: kafkaMetadata, from: 9, flexible: true},
	{api: kafkaMetadata, from: 10, flexible: true, id: true},
	{api: kafkaOffsetCommit, from: 0, first: true},
	{api: kafkaOffsetCommit, from: 1, first: true, skip: 4, more: 1},
	{api: kafkaOffsetCommit, from: 2, first: true, skip: 4, more: 1, skip2: 8},
	{api: kafkaOffsetCommit, from: 5, first: true, skip: 4, more: 1},
	{api: kafkaOffsetCommit, from: 7, first: true, skip: 4, more: 2},
	{api: kafkaOffsetCommit, from: 8, first: true, skip: 4, more: 2, flexible: true},
	{api: kafkaOffsetCommit, from: 10, unreadable: true},
	{api: kafkaOffsetFetch, from: 0, first: true},
	{api: kafkaOffsetFetch, from: 6, first: true, flexible: true},
	{api: kafkaOffsetFetch, from: 8, unreadable: true},
}

// Numbers of topics that a request names, in the script. A rule with a topic matches
// requests without topics, and requests whose only topic is that of the rule.
const (
	kafkaNoTopic  = 0
	kafkaOneTopic = 1
	kafkaUnknown  = 2 // several, or none that can be read
)

// kafkaHead writes the statements that read the header of a Kafka request from $msg: the
// kind $api, the version $apiversion, the client $client.
func (w *writer) kafkaHead() {
	w.line("$msg = payload(%d);", kafkaSize)
	w.line("$api = be16($msg, 4); $apiversion = be16($msg, 6); $clen = be16($msg, 12);")
	w.line("if ($clen == 0xffff) { $clen = 0; }")
	w.line("if (be32($msg) >= 10 && be32($msg) < 0x10000000 && $api < 128 && $apiversion < 64 && $clen < 256) {")
	w.line("$kind = $salt ^ %d;", KafkaRequest)
	w.line("$client = str(slice($msg, %d, $clen));", kafkaHeader)
	if w.rules.topics {
		w.kafkaTopics()
	}
	w.line("}")
}

// kafkaTopics writes the statements that read the topics of a request: their number
// $topics, and the first one, $topic.
func (w *writer) kafkaTopics() {
	w.line("$at = (uint64)%d + $clen; $topics = (uint64)%d;", kafkaHeader, kafkaNoTopic)
	w.line("$first = (uint64)0; $skip = (uint64)0; $more = (uint64)0; $skip2 = (uint64)0; $flexible = (uint64)0; $id = (uint64)0; $n = (uint64)0;")
	for i, f := range kafkaForms {
		if i > 0 && kafkaForms[i-1].api == f.api {
			continue
		}
		w.line("if ($api == %d) {", f.api)
		w.line("$topics = (uint64)%d;", kafkaOneTopic)
		for _, form := range kafkaForms[i:] {
			if form.api == f.api {
				w.kafkaForm(form)
			}
		}
		w.line("}")
	}
	w.line("if ($api in (%s)) { $topics = %d; }", numbers(KafkaTopicsUnread), kafkaUnknown)
	w.line("$topics = __forget($topics); $first = __forget($first); $skip = __forget($skip); $more = __forget($more);")
	w.line("$skip2 = __forget($skip2); $flexible = __forget($flexible); $id = __forget($id);")
	w.line("if ($topics == %d) {", kafkaOneTopic)
	w.line("$at += $flexible; // the header has no more fields")
	w.line("if ($first != 0) {")
	w.kafkaString()
	w.line("}")
	w.line("$at += $skip;")
	for i := range 2 {
		w.line("if ($more > %d) {", i)
		w.kafkaString()
		w.line("}")
	}
	w.line("$at = __forget($at + $skip2);")
	// The number of topics, which is the length of an array.
	w.line("if ($flexible != 0) {")
	w.line("$n = be16($msg, $at) >> 8; $at += 1;")
	w.line("$n = $n == 0 ? 0 : $n - 1;")
	w.line("} else {")
	w.line("$n = be32($msg, $at); $at += 4;")
	w.line("if ($n == 0xffffffff) { $n = 0; }")
	w.line("}")
	w.line("$topics = __forget($n > %d ? %d : $n);", kafkaOneTopic, kafkaUnknown)
	w.line("if ($id != 0) { $at += 16; }")
	w.line("if ($topics == %d) {", kafkaOneTopic)
	w.kafkaLength()
	w.line("$topic = str(slice($msg, $at, $n));")
	w.line("if ($at + $n > len($msg)) { $topics = %d; }", kafkaUnknown)
	w.line("}")
	w.line("}")
}

// kafkaForm writes the assignments for a form of requests.
func (w *writer) kafkaForm(f kafkaForm) {
	var sets []string
	set := func(name string, value int) {
		sets = append(sets, fmt.Sprintf("$%s = %d;", name, value))
	}
	bit := func(b bool) int {
		if b {
			return 1
		}
		return 0
	}
	if f.unreadable {
		set("topics", kafkaUnknown)
	} else {
		set("first", bit(f.first))
		set("skip", f.skip)
		set("more", f.more)
		set("skip2", f.skip2)
		set("flexible", bit(f.flexible))
		set("id", bit(f.id))
	}
	w.line("if ($apiversion >= %d) { %s }", f.from, strings.Join(sets, " "))
}

// kafkaLength writes the statements that read the length $n of a string.
func (w *writer) kafkaLength() {
	w.line("$n = be16($msg, $at);")
	w.line("if ($flexible != 0) {")
	w.line("$at += 1;")
	w.line("if ($n >= 0x8000) { $at += 1; $n = ($n >> 8 & 0x7f) | ($n & 0x7f) << 7; } else { $n >>= 8; }")
	w.line("$n = $n == 0 ? 0 : $n - 1;")
	w.line("} else {")
	w.line("$at += 2;")
	w.line("if ($n == 0xffff) { $n = 0; }")
	w.line("}")
	w.line("$n = __forget($n); $at = __forget($at);")
}

// kafkaString writes the statements that skip a string.
func (w *writer) kafkaString() {
	w.kafkaLength()
	w.line("$at += $n;")
}

// condition returns the condition for a request, or "" if the rule accepts all.
func (k *KafkaRule) condition() string {
	var parts []string
	if k.APIs != nil {
		apis := slices.Clone(k.APIs)
		slices.Sort(apis)
		parts = append(parts, fmt.Sprintf("$api in (%s)", numbers(apis)))
	}
	if k.Version >= 0 {
		parts = append(parts, fmt.Sprintf("$apiversion == %d", k.Version))
	}
	if k.Client != "" {
		parts = append(parts, "$client == "+source.Quote(k.Client))
	}
	if k.Topic != "" {
		parts = append(parts, fmt.Sprintf("($topics == %d || $topics == %d && $topic == %s)", kafkaNoTopic, kafkaOneTopic, source.Quote(k.Topic)))
	}
	return strings.Join(parts, " && ")
}
