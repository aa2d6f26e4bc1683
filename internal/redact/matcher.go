package redact

// matcher is an Aho-Corasick automaton: it reads text byte by byte, and its
// state is the longest end of that text that begins a pattern. It is
// immutable once built.
type matcher struct {
	first [256]int32   // from the root, where nearly all text stays
	pairs [1024]uint64 // a bit for each two bytes that begin a pattern
	nodes []node       // nodes[0] is the root
}

type node struct {
	char           byte
	child, sibling int32 // 0: none, since the root is nobody's child
	fail           int32 // the state of the longest proper end of this one's text
	depth          int32 // the length of this state's text
	match          int32 // the length of the longest pattern that ends here, or 0
}

func newMatcher(patterns map[string]struct{}) *matcher {
	m := &matcher{nodes: make([]node, 1)}
	for p := range patterns {
		m.insert(p)
	}
	m.link()
	return m
}

// insert adds a pattern of at least two bytes (Min is more).
func (m *matcher) insert(pattern string) {
	pair := int(pattern[0])<<8 | int(pattern[1])
	m.pairs[pair>>6] |= 1 << (pair & 63)
	at := int32(0)
	for i := range len(pattern) {
		next := m.child(at, pattern[i])
		if next == 0 {
			next = int32(len(m.nodes))
			m.nodes = append(m.nodes, node{char: pattern[i], sibling: m.nodes[at].child, depth: int32(i + 1)})
			m.nodes[at].child = next
			if at == 0 {
				m.first[pattern[i]] = next
			}
		}
		at = next
	}
	m.nodes[at].match = int32(len(pattern))
}

// link sets fail and match level by level, so that a node's fail, which is
// nearer to the root, is complete before the node is.
func (m *matcher) link() {
	var queue []int32
	for c := m.nodes[0].child; c != 0; c = m.nodes[c].sibling {
		queue = append(queue, c)
	}
	for i := 0; i < len(queue); i++ {
		at := queue[i]
		for c := m.nodes[at].child; c != 0; c = m.nodes[c].sibling {
			fail := m.step(m.nodes[at].fail, m.nodes[c].char)
			m.nodes[c].fail = fail
			m.nodes[c].match = max(m.nodes[c].match, m.nodes[fail].match)
			queue = append(queue, c)
		}
	}
}

func (m *matcher) child(at int32, char byte) int32 {
	if at == 0 {
		return m.first[char]
	}
	for c := m.nodes[at].child; c != 0; c = m.nodes[c].sibling {
		if m.nodes[c].char == char {
			return c
		}
	}
	return 0
}

// step reads one byte.
func (m *matcher) step(at int32, char byte) int32 {
	for {
		if next := m.child(at, char); next != 0 || at == 0 {
			return next
		}
		at = m.nodes[at].fail
	}
}

// skip returns how many bytes of text, read from the root, can begin no
// pattern. The last byte is judged without the one that will follow it.
func skip[T string | []byte](m *matcher, text T) int {
	for i := range len(text) {
		if m.first[text[i]] == 0 {
			continue
		}
		if i+1 == len(text) {
			return i
		}
		if pair := int(text[i])<<8 | int(text[i+1]); m.pairs[pair>>6]&(1<<(pair&63)) != 0 {
			return i
		}
	}
	return len(text)
}
