package apiserver

import (
	"bytes"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	yamlv3 "go.yaml.in/yaml/v3"
	"sigs.k8s.io/yaml"
)

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

// yamlToJSON turns a body that may be YAML into JSON.
func yamlToJSON(body []byte) ([]byte, error) {
	err := checkAliases(body)
	if err == nil {
		body, err = yaml.YAMLToJSON(body)
	}
	if err != nil {
		return nil, apierrors.NewBadRequest("error decoding YAML: " + err.Error())
	}
	return body, nil
}
