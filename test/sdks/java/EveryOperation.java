import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.File;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.lang.reflect.Parameter;
import java.util.HashMap;
import java.util.Map;
import no.nav.knada.ApiClient;
import no.nav.knada.ApiException;
import no.nav.knada.model.Problem;

/** Calls every operation of a calls file and prints what was read: EveryOperation <url> <calls> */
public final class EveryOperation {
    public static void main(String[] arguments) throws Exception {
        ApiClient client = new ApiClient();
        client.updateBaseUri(arguments[0]);
        client.setRequestInterceptor(request -> request.header("Authorization", "Bearer token"));
        ObjectMapper mapper = client.getObjectMapper();
        for (JsonNode call : mapper.readTree(new File(arguments[1]))) {
            Map<String, JsonNode> values = new HashMap<>();
            for (JsonNode parameter : call.get("parameters")) {
                values.put(camelCase(parameter.get("name").asText()), parameter.get("value"));
            }
            JsonNode body = call.get("body");
            if (!body.isNull()) {
                String schema = body.get("schema").asText();
                values.put(schema.substring(0, 1).toLowerCase() + schema.substring(1), body.get("value"));
            }
            String operation = call.get("operation").asText();
            Class<?> api = Class.forName("no.nav.knada.api." + upperFirst(call.get("tag").asText()) + "Api");
            ObjectNode line = mapper.createObjectNode().put("operation", operation);
            Method method = methodOf(api, operation, values.size());
            Object[] bound = new Object[values.size()];
            for (int index = 0; index < bound.length; index++) {
                Parameter parameter = method.getParameters()[index];
                if (!values.containsKey(parameter.getName())) {
                    throw new IllegalStateException(operation + " has no argument " + parameter.getName());
                }
                bound[index] = mapper.convertValue(values.get(parameter.getName()), parameter.getType());
            }
            try {
                Object answer = method.invoke(api.getConstructor(ApiClient.class).newInstance(client), bound);
                line.set("answer", mapper.valueToTree(answer));
            } catch (InvocationTargetException failure) {
                if (!(failure.getCause() instanceof ApiException refused) || refused.getResponseBody() == null) {
                    throw failure;
                }
                line.set("problem", mapper.valueToTree(mapper.readValue(refused.getResponseBody(), Problem.class)));
            }
            System.out.println(mapper.writeValueAsString(line));
        }
    }

    private static Method methodOf(Class<?> api, String name, int arguments) {
        for (Method method : api.getMethods()) {
            if (method.getName().equals(name) && method.getParameterCount() == arguments) {
                return method;
            }
        }
        throw new IllegalStateException(api.getSimpleName() + " has no " + name + " of " + arguments);
    }

    private static String camelCase(String name) {
        StringBuilder written = new StringBuilder();
        for (String part : name.split("-")) {
            written.append(written.length() == 0 ? part : upperFirst(part));
        }
        return written.toString();
    }

    private static String upperFirst(String text) {
        return text.substring(0, 1).toUpperCase() + text.substring(1);
    }
}
