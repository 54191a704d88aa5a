package auth

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Each of these returns why a node may not make a request, or "". The words are upstream's.

func readOne(r Request) string {
	switch {
	case !slices.Contains([]string{"get", "list", "watch"}, r.Verb):
		return "can only read resources of this type"
	case r.Subresource != "":
		return "cannot read subresource"
	case r.Namespace == "":
		return "can only read namespaced object of this type"
	}
	return ""
}

func getOne(r Request) string {
	switch {
	case r.Verb != "get":
		return "can only get individual resources of this type"
	case r.Subresource != "":
		return "cannot get subresource"
	}
	return ""
}

func claimAccess(r Request) string {
	if r.Subresource != "status" {
		return getOne(r)
	}
	if r.Verb != "update" && r.Verb != "patch" {
		return "can only get/update/patch this type"
	}
	return ""
}

// accountAccess is to read an account, or to make a token for it.
func accountAccess(r Request) string {
	if r.Verb == "get" && r.Subresource == "" {
		return readOne(r)
	}
	return tokenOf(r)
}

func tokenOf(r Request) string {
	switch {
	case r.Verb != "create" || r.Name == "":
		return "can only create tokens for individual service accounts"
	case r.Subresource != "token":
		return "can only create token subresource of serviceaccount"
	}
	return ""
}

func ownLease(node string, r Request) string {
	switch {
	case !writable(r.Verb):
		return "can only get, create, update, patch, or delete a node lease"
	case r.Namespace != corev1.NamespaceNodeLease:
		return fmt.Sprintf("can only access leases in the %q system namespace", corev1.NamespaceNodeLease)
	case r.Verb != "create" && r.Name != node:
		return "can only access node lease with the same name as the requesting node"
	}
	return ""
}

func ownCSINode(node string, r Request) string {
	switch {
	case r.Subresource == "status":
		return "CSINode status access requires CSIVolumeHealth feature"
	case r.Subresource != "":
		return "cannot authorize CSINode subresources"
	case !writable(r.Verb):
		return "can only get, create, update, patch, or delete a CSINode"
	case r.Verb != "create" && r.Name != node:
		return "can only access CSINode with the same name as the requesting node"
	}
	return ""
}

func writable(verb string) bool {
	return slices.Contains([]string{"get", "create", "update", "patch", "delete"}, verb)
}

// ownNode leaves to NodeRestriction which Node is written: the name of a new one is not known here.
func ownNode(node string, r Request) string {
	switch r.Subresource + " " + r.Verb {
	case " create", " update", " patch", "status update", "status patch":
		return ""
	case " get", " list", " watch":
		switch r.Name {
		case node:
			return ""
		case "":
			return fmt.Sprintf("node '%s' cannot read all nodes, only its own Node object", node)
		}
		return fmt.Sprintf("node '%s' cannot read '%s', only its own Node object", node, r.Name)
	}
	return unlisted
}
