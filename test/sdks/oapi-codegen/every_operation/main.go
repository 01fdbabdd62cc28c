// Calls every operation of a calls file and prints what was read: every_operation <url> <calls>
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"reflect"
	"strings"

	"example.com/notebooks/knada"
)

type call struct {
	Operation  string
	Parameters []struct {
		In, Name string
		Value    json.RawMessage
	}
	Body *struct{ Value json.RawMessage }
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	check(err)
	var calls []call
	check(json.Unmarshal(text, &calls))
	authorize := knada.WithRequestEditorFn(func(_ context.Context, request *http.Request) error {
		request.Header.Set("Authorization", "Bearer token")
		return nil
	})
	client, err := knada.NewClientWithResponses(os.Args[1], authorize)
	check(err)

	for _, one := range calls {
		method := reflect.ValueOf(client).MethodByName(strings.ToUpper(one.Operation[:1]) + one.Operation[1:] + "WithResponse")
		arguments := []reflect.Value{reflect.ValueOf(context.Background())}
		bind := func(value json.RawMessage) {
			target := reflect.New(method.Type().In(len(arguments)))
			check(json.Unmarshal(value, target.Interface()))
			arguments = append(arguments, target.Elem())
		}
		others := map[string]json.RawMessage{}
		for _, parameter := range one.Parameters {
			if parameter.In == "path" {
				bind(parameter.Value)
			} else {
				others[parameter.Name] = parameter.Value
			}
		}
		if len(others) > 0 {
			written, err := json.Marshal(others)
			check(err)
			bind(written)
		}
		if one.Body != nil {
			bind(one.Body.Value)
		}
		results := method.Call(arguments)
		if err, failed := results[1].Interface().(error); failed {
			log.Fatalf("%s: %v", one.Operation, err)
		}
		response := results[0].Elem()
		line := map[string]any{"operation": one.Operation}
		status := response.FieldByName("HTTPResponse").Interface().(*http.Response).StatusCode
		if status < 300 {
			line["answer"] = answerOf(response, fmt.Sprintf("JSON%d", status))
		} else {
			line["problem"] = answerOf(response, "ApplicationproblemJSONDefault")
		}
		written, err := json.Marshal(line)
		check(err)
		fmt.Println(string(written))
	}
}

func answerOf(response reflect.Value, name string) any {
	field := response.FieldByName(name)
	if !field.IsValid() {
		return nil
	}
	return field.Interface()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
