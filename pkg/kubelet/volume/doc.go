// Package volume makes a pod's volumes on the node: directories below DIR/kubelet/pods/UID/volumes, laid out as
// upstream does.
//
// Sync is called whenever the pod is looked at. It makes what is missing, brings volumes whose content comes from
// the API (config maps, secrets, the downward API, tokens) up to date, and says when a token wants to be renewed.
// What did not change is not written: the content's digest is remembered.
//
// Content is replaced as a whole: a reader sees the old files or the new ones, never a mixture. The files are in
// a directory with the time in its name, ..data is a symbolic link to it, and the names that the pod sees are links
// through ..data; renaming a new link over ..data switches all of them at once (writer.go).
//
// Secrets and tokens are on tmpfs, so that they never reach a disk.
//
// Volumes of other kinds than those listed in kinds need a later milestone; a pod that uses one waits, with an
// event that says so.
package volume
