// Calls every operation of a calls file and prints what was read: every_operation <url> <calls>
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"os"
	"reflect"
	"strings"

	"example.com/notebooks/knada"
)

type call struct {
	Operation  string
	Tag        string
	Parameters []struct {
		In, Name string
		Value    json.RawMessage
	}
	Body *struct {
		Schema string
		Value  json.RawMessage
	}
}

func main() {
	text, err := os.ReadFile(os.Args[2])
	check(err)
	var calls []call
	check(json.Unmarshal(text, &calls))
	configuration := knada.NewConfiguration()
	configuration.Servers = knada.ServerConfigurations{{URL: os.Args[1]}}
	client := knada.NewAPIClient(configuration)
	ctx := context.WithValue(context.Background(), knada.ContextAccessToken, "token")

	for _, one := range calls {
		api := reflect.ValueOf(client).Elem().FieldByName(title(one.Tag) + "API")
		start := api.MethodByName(title(one.Operation))
		arguments := []reflect.Value{reflect.ValueOf(ctx)}
		for _, parameter := range one.Parameters {
			if parameter.In == "path" {
				arguments = append(arguments, decoded(parameter.Value, start.Type().In(len(arguments))))
			}
		}
		request := start.Call(arguments)[0]
		with := func(name string, value json.RawMessage) {
			setter := request.MethodByName(name)
			request = setter.Call([]reflect.Value{decoded(value, setter.Type().In(0))})[0]
		}
		for _, parameter := range one.Parameters {
			if parameter.In != "path" {
				with(title(parameter.Name), parameter.Value)
			}
		}
		if one.Body != nil {
			with(one.Body.Schema, one.Body.Value)
		}
		results := request.MethodByName("Execute").Call(nil)
		line := map[string]any{"operation": one.Operation}
		var refused *knada.GenericOpenAPIError
		err, failed := results[len(results)-1].Interface().(error)
		switch {
		case !failed && len(results) == 2:
			line["answer"] = nil
		case !failed:
			line["answer"] = results[0].Interface()
		case errors.As(err, &refused) && refused.Model() != nil:
			line["problem"] = refused.Model()
		default:
			log.Fatalf("%s: %v", one.Operation, err)
		}
		written, err := json.Marshal(line)
		check(err)
		fmt.Println(string(written))
	}
}

func decoded(value json.RawMessage, as reflect.Type) reflect.Value {
	target := reflect.New(as)
	check(json.Unmarshal(value, target.Interface()))
	return target.Elem()
}

// title returns the exported name: ifMatch and if-match become IfMatch.
func title(name string) string {
	var written strings.Builder
	for _, part := range strings.Split(name, "-") {
		written.WriteString(strings.ToUpper(part[:1]) + part[1:])
	}
	return written.String()
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
