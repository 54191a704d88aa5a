package apiserver

import (
	"bytes"
	"errors"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// plainJSON tells whether body, if it is JSON, means the same to a reader of JSON and to one of YAML. Clients send JSON, which is read ten
// times as fast; but YAML has rules of its own for escapes, blanks, negative zeros, long keys and the letters of other languages. Whether
// body is JSON at all is for the reader of JSON to say.
func plainJSON(body []byte) bool {
	const longest = 1000 // of what may stand before a colon
	if len(body) == 0 || body[0] != '{' {
		return false
	}
	text, from := false, 0
	for i := 0; i < len(body); i++ {
		c := body[i]
		switch {
		case c == '\n' && !text:
			from = i
			continue
		case c < ' ' || c > '~':
			return false
		case c == '"':
			text = !text
			if text {
				from = i
			}
		case text && c == '\\':
			if i++; i == len(body) || !strings.ContainsRune(`"\nrt`, rune(body[i])) {
				return false
			}
		case text && c == '<' && bytes.HasPrefix(body[i-1:], []byte(`"<<"`)):
			return false // merges what it holds
		case !text && c == '-' && i+1 < len(body) && body[i+1] == '0':
			return false
		case !text && c == ':' && (body[i-1] != '"' || i-from > longest):
			return false
		}
	}
	return true
}

// maxExpanded is how many bytes a YAML body may stand for once its aliases are written out.
const maxExpanded = 4 * maxBody

var errAliasing = errors.New("yaml: document contains excessive aliasing")

// checkAliases refuses YAML that stands for far more than it is long. The decoder counts the nodes that aliases make, but not
// their bytes: a string of a megabyte with a hundred thousand aliases would pass, and become a hundred gigabytes of JSON.
func checkAliases(body []byte) error {
	if !bytes.ContainsRune(body, '&') || !bytes.ContainsRune(body, '*') {
		return nil // no aliases; so most bodies are parsed once
	}
	var doc yamlv3.Node
	if err := yamlv3.Unmarshal(body, &doc); err != nil {
		return nil // the decoder proper has better words for it
	}
	if expanded(&doc, map[*yamlv3.Node]int{}) > maxExpanded {
		return errAliasing
	}
	return nil
}

// expanded returns how many bytes n stands for, at most one more than maxExpanded. Each node is looked at once: known has those
// that were, and, as too large, those that are being looked at, since one inside itself has no end.
func expanded(n *yamlv3.Node, known map[*yamlv3.Node]int) int {
	if n.Alias != nil {
		n = n.Alias
	}
	if size, ok := known[n]; ok {
		return size
	}
	known[n] = maxExpanded + 1
	size := len(n.Value) + 1
	for _, child := range n.Content {
		size = min(size+expanded(child, known), maxExpanded+1)
	}
	known[n] = size
	return size
}
