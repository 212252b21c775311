// The application of application.py as a servlet in an embedded Tomcat.
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.File;
import java.io.IOException;
import java.util.Map;
import org.apache.catalina.Context;
import org.apache.catalina.startup.Tomcat;

public class Application {
  static final byte[] TEXT = "The quick brown fox jumps over the lazy dog.\n".repeat(2800).getBytes();

  public static void main(String[] arguments) throws Exception {
    Tomcat tomcat = new Tomcat();
    tomcat.setBaseDir(arguments[1]);
    tomcat.setPort(Integer.parseInt(arguments[0]));
    tomcat.getConnector().setProperty("address", "127.0.0.1");
    tomcat.getConnector().setProperty("maxKeepAliveRequests", "-1");
    tomcat.getConnector().setProperty("allowedTrailerHeaders", "x-digest");
    Context context = tomcat.addContext("", new File(arguments[1]).getAbsolutePath());
    Tomcat.addServlet(context, "application", new HttpServlet() {
      @Override
      protected void service(HttpServletRequest request, HttpServletResponse response) throws IOException {
        respond(request, response);
      }
    });
    context.addServletMappingDecoded("/*", "application");
    tomcat.start();
    tomcat.getServer().await();
  }

  static void respond(HttpServletRequest request, HttpServletResponse response) throws IOException {
    switch (request.getRequestURI()) {
      case "/text" -> {
        response.setContentType("text/plain");
        response.setContentLength(TEXT.length);
        response.getOutputStream().write(TEXT);
      }
      case "/stream" -> {
        response.setContentType("text/plain");
        response.getOutputStream().write("first\n".getBytes());
        response.flushBuffer();
        response.getOutputStream().write("second\n".repeat(2000).getBytes());
        response.flushBuffer();
        response.getOutputStream().write("third\n".getBytes());
      }
      case "/nothing" -> response.setStatus(204);
      case "/not-modified" -> {
        response.setStatus(304);
        response.setHeader("ETag", "\"v1\"");
      }
      case "/moved" -> {
        response.setStatus(302);
        response.setHeader("Location", "/elsewhere?a=b");
      }
      case "/cookies" -> {
        response.addHeader("Set-Cookie", "a=1; Path=/");
        response.addHeader("Set-Cookie", "b=2; Path=/");
        response.getOutputStream().write("ok".getBytes());
      }
      case "/failed" -> {
        response.setStatus(500);
        response.getOutputStream().write("failed".getBytes());
      }
      case "/trailers" -> {
        request.getInputStream().readAllBytes();
        response.setHeader("Trailer", "X-Sum");
        response.setHeader("X-Got", request.getTrailerFields().toString());
        response.setHeader("X-TE", String.valueOf(request.getHeader("TE")));
        response.setTrailerFields(() -> Map.of("X-Sum", "42"));
        response.getOutputStream().write("part".getBytes());
        response.flushBuffer();
      }
      default -> {
        byte[] body = request.getInputStream().readAllBytes();
        response.setHeader("X-Method", request.getMethod());
        response.setContentLength(body.length);
        response.getOutputStream().write(body);
      }
    }
  }
}
