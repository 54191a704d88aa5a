// Hook is the program of a pod by which the lessons extend the API: a webhook that changes objects, one that refuses some, one that
// converts a custom kind between its versions, and an API server with a group of its own. It is the least that each has to be, and it is written
// from their protocols alone, so that what the API server sends and accepts is told by somebody else than its own types.
//
//	hook CERT KEY
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strings"
)

// object is one in JSON.
type object = map[string]any

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: hook CERT KEY")
	}
	http.HandleFunc("POST /label", reviewed(label))
	http.HandleFunc("POST /refuse", reviewed(refuse))
	http.HandleFunc("POST /convert", answering(convert))
	http.HandleFunc("GET /apis/echo.bonsai.test/v1", discovery)
	http.HandleFunc("GET /apis/echo.bonsai.test/v1/echoes/{name}", echo)
	log.Fatal(http.ListenAndServeTLS(":8443", os.Args[1], os.Args[2], nil))
}

// answering reads a review and answers with what f makes of its request.
func answering(f func(request object) (response object)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		review := object{}
		if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		request := at(review, "request")
		response := f(request)
		response["uid"] = request["uid"]
		delete(review, "request")
		review["response"] = response
		answer(w, review)
	}
}

// reviewed is answering for admission, where f says why not, or nothing, and what to change.
func reviewed(f func(o object) (refusal string, patch []object)) http.HandlerFunc {
	return answering(func(request object) object {
		refusal, patch := f(at(request, "object"))
		response := object{"allowed": refusal == ""}
		if refusal != "" {
			response["status"] = object{"message": refusal, "code": http.StatusForbidden}
		}
		if patch != nil {
			encoded, _ := json.Marshal(patch)
			response["patchType"], response["patch"] = "JSONPatch", encoded
		}
		return response
	})
}

func label(o object) (string, []object) {
	labels := at(o, "metadata", "labels")
	labels["seen-by"] = "hook"
	return "", []object{{"op": "add", "path": "/metadata/labels", "value": labels}}
}

func refuse(o object) (string, []object) {
	if word, ok := at(o, "data")["word"]; ok && word == "xyzzy" {
		return fmt.Sprintf("nobody says %v here", word), nil
	}
	return "", nil
}

// convert turns sizes into pairs of width and height, and back.
func convert(request object) object {
	to, _ := request["desiredAPIVersion"].(string)
	objects, _ := request["objects"].([]any)
	for _, o := range objects {
		o := o.(object)
		o["apiVersion"] = to
		spec := at(o, "spec")
		if strings.HasSuffix(to, "/v2") {
			width, height, _ := strings.Cut(fmt.Sprint(spec["size"]), "x")
			o["spec"] = object{"width": width, "height": height}
		} else {
			o["spec"] = object{"size": fmt.Sprintf("%sx%s", spec["width"], spec["height"])}
		}
	}
	return object{"convertedObjects": objects, "result": object{"status": "Success"}}
}

func discovery(w http.ResponseWriter, _ *http.Request) {
	answer(w, object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "echo.bonsai.test/v1", "resources": []object{
		{"name": "echoes", "singularName": "echo", "namespaced": false, "kind": "Echo", "verbs": []string{"get"}}}})
}

// echo tells who asks, as the API server says.
func echo(w http.ResponseWriter, r *http.Request) {
	answer(w, object{"kind": "Echo", "apiVersion": "echo.bonsai.test/v1", "metadata": object{"name": r.PathValue("name")},
		"user": r.Header.Get("X-Remote-User"), "groups": r.Header.Values("X-Remote-Group")})
}

func answer(w http.ResponseWriter, o object) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(o); err != nil {
		log.Print(err)
	}
}

// at is the object at a path, an empty one if there is none.
func at(o object, path ...string) object {
	for _, step := range path {
		next, ok := o[step].(object)
		if !ok {
			return object{}
		}
		o = next
	}
	return o
}
